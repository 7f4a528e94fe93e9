"""A Hugging Face Hub on the loopback that takes uploads, in this process, for the real client library.

Large files go to LFS, as they do on the Hub; a repository stores whether it is private.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

SHA = "0123456789abcdef0123456789abcdef01234567"
HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
# The Hub takes these suffixes for large files, whatever their size is.
LARGE = (".safetensors", ".onnx")


@dataclass
class UploadHub:
    """The state of the Hub.

    Args:
        folder: The repositories are the folders ``owner/name`` in it.
        endpoint: Its address.
        private: Whether each repository is private.
        objects: The uploaded large files, by hash.
        requests: The method and the path of each request.
    """

    folder: Path
    endpoint: str = ""
    private: dict[str, bool] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator["UploadHub"]:
        """Serves it."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.endpoint = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()

    def files(self, name: str) -> dict[str, Path]:
        """The files of a repository, by their names in it."""
        root = self.folder / name
        return {file.relative_to(root).as_posix(): file for file in sorted(root.rglob("*")) if file.is_file()}


def card_errors(card: str) -> list[str]:
    """What the Hub refuses in the header of a model card: names that cannot be ids."""
    header = re.search(r"---[\n\r]+([\S\s]*?)[\n\r]+---[\n\r]", card)
    fields = (yaml.safe_load(header[1]) if header else None) or {}
    ids = [(f"datasets[{place}]", name) for place, name in enumerate(fields.get("datasets") or [])]
    named = [("base_model", fields["base_model"])] if "base_model" in fields else []
    return [
        f'"{key}" with value "{name}" is not valid.' for key, name in named + ids if not HUB_ID.fullmatch(str(name))
    ]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: UploadHub

    def do_GET(self) -> None:
        path, body = unquote(urlsplit(self.path).path), self._body()
        self.hub.requests.append(f"{self.command} {path}")
        ways: dict[str, Callable[..., None]] = {
            r"/api/whoami-v2": self._user,
            r"/api/repos/create": self._create,
            r"/api/validate-yaml": self._validate,
            r"/api/models/(.+?)/settings": self._settings,
            r"/api/models/(.+?)/preupload/.*": self._preupload,
            r"/api/models/(.+?)/commit/.*": self._commit,
            r"/api/models/(.+?)/tree/.*": self._tree,
            r"/api/models/([^/]+/[^/]+)(?:/revision/.*)?": self._info,
            r"/(.+)\.git/info/lfs/objects/batch": self._batch,
            r"/objects/(.+)": self._object,
            r"/(.+?)/resolve/[^/]+/(.+)": self._resolve,
        }
        for pattern, answer in ways.items():
            if found := re.fullmatch(pattern, path):
                answer(body, *found.groups())
                return
        self._answer(404, {})

    do_POST = do_PUT = do_HEAD = do_GET  # noqa: N815

    def _user(self, body: bytes) -> None:
        self._answer(200, {"name": "me", "type": "user", "orgs": [], "auth": {"accessToken": {"role": "write"}}})

    def _create(self, body: bytes) -> None:
        wanted = json.loads(body)
        name = f"{wanted.get('organization') or 'me'}/{wanted['name']}"
        exists = (self.hub.folder / name).is_dir()
        if not exists:
            (self.hub.folder / name).mkdir(parents=True)
            self.hub.private[name] = _is_private(wanted)
        self._answer(409 if exists else 200, {"url": f"{self.hub.endpoint}/{name}", "name": name, "id": "1"})

    def _validate(self, body: bytes) -> None:
        errors = card_errors(json.loads(body)["content"])
        self._answer(400 if errors else 200, {"errors": [{"message": one} for one in errors], "warnings": []})

    def _settings(self, body: bytes, name: str) -> None:
        self.hub.private[name] = _is_private(json.loads(body))
        self._answer(200, {"private": self.hub.private[name]})

    def _preupload(self, body: bytes, name: str) -> None:
        names = [file["path"] for file in json.loads(body)["files"]]
        modes = [{"path": file, "uploadMode": "lfs" if file.endswith(LARGE) else "regular"} for file in names]
        self._answer(200, {"files": [{**mode, "shouldIgnore": False} for mode in modes]})

    def _batch(self, body: bytes, name: str) -> None:
        wanted = [one for one in json.loads(body)["objects"] if one["oid"] not in self.hub.objects]
        hrefs = {one["oid"]: f"{self.hub.endpoint}/objects/{one['oid']}" for one in wanted}
        actions = [{**one, "actions": {"upload": {"href": hrefs[one["oid"]]}}} for one in wanted]
        self._answer(200, {"transfer": "basic", "objects": actions})

    def _object(self, body: bytes, oid: str) -> None:
        self.hub.objects[oid] = body
        self._answer(200 if hashlib.sha256(body).hexdigest() == oid else 422, {})

    def _commit(self, body: bytes, name: str) -> None:
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "header":
                continue
            file, value = self.hub.folder / name / line["value"]["path"], line["value"]
            if line["key"] == "file":
                file.write_bytes(base64.b64decode(value["content"]))
            elif line["key"] == "lfsFile":
                file.write_bytes(self.hub.objects[value["oid"]])
            else:
                file.unlink()
        url = f"{self.hub.endpoint}/{name}/commit/{SHA}"
        self._answer(200, {"commitOid": SHA, "commitUrl": url, "hookOutput": ""})

    def _info(self, body: bytes, name: str) -> None:
        if not (self.hub.folder / name).is_dir():
            self._answer(404, {}, {"X-Error-Code": "RepoNotFound"})
            return
        siblings = [{"rfilename": file} for file in self.hub.files(name)]
        self._answer(200, {"id": name, "sha": SHA, "private": self.hub.private.get(name, False), "siblings": siblings})

    def _tree(self, body: bytes, name: str) -> None:
        files = self.hub.files(name).items()
        entries = [{"path": path, "size": file.stat().st_size, "oid": _etag(file)} for path, file in files]
        self._answer(200, [{"type": "file", **entry} for entry in entries])

    def _resolve(self, body: bytes, name: str, path: str) -> None:
        file = self.hub.files(name).get(path)
        if file is None:
            self._answer(404, {}, {"X-Error-Code": "EntryNotFound"})
        else:
            self._send(200, file.read_bytes(), {"ETag": _etag(file)})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {"X-Repo-Commit": SHA, **headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Prints nothing."""


def _etag(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _is_private(settings: dict[str, Any]) -> bool:
    """Whether settings of a repository make it private; earlier versions of the client send `private`."""
    return bool(settings.get("private", settings.get("visibility") == "private"))
