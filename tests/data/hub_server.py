"""A Hugging Face Hub on the loopback, in this process, for the real client library."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import datasets
import pytest
from huggingface_hub import constants

from emotion_lit.utils import hub

SHA = "0123456789abcdef0123456789abcdef01234567"
# Names of repositories that are refused, with the answer of the Hub.
REFUSED = {"me/gated": (403, "GatedRepo"), "me/closed": (403, "")}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: dict[str, Path]

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        names = "|".join(map(re.escape, (*self.served, *REFUSED)))
        found = re.fullmatch(rf"/(?:api/)?(?:datasets/|models/)?({names})(/.*)?", path)
        name, rest = found.groups("") if found else (None, "")
        if name is None:
            self._answer(401, {}, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        elif name in REFUSED and ("resolve" in path or name == "me/closed"):
            status, code = REFUSED[name]
            self._answer(status, {"error": code}, {"X-Error-Code": code, "X-Error-Message": "refused"})
        else:
            self._serve(rest, self.served.get(name, Path("nowhere")))

    do_HEAD = do_GET  # noqa: N815

    def _serve(self, rest: str, folder: Path) -> None:
        files = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if file.is_file()}
        kind, revision, *names = [*rest.strip("/").split("/", 2), "", ""]
        if revision not in ("", "main", "v1", SHA):
            self._answer(404, {}, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "no such revision"})
        elif kind == "refs":
            self._answer(200, {"branches": [_ref("main")], "tags": [_ref("v1")], "converts": []})
        elif kind == "tree":
            listed = [
                {"type": "file", "path": name, "size": file.stat().st_size, "oid": SHA} for name, file in files.items()
            ]
            self._answer(200, listed or [{"type": "file", "path": "train.csv", "size": 1, "oid": SHA}])
        elif kind == "resolve" and names[0] in files:
            self._send(200, files[names[0]].read_bytes(), {"ETag": hashlib.sha256(names[0].encode()).hexdigest()})
        elif kind == "resolve":
            self._answer(404, {}, {"X-Error-Code": "EntryNotFound", "X-Error-Message": "no such file"})
        else:
            self._answer(200, {"id": "x/y", "sha": SHA, "siblings": [{"rfilename": name} for name in files]})

    def _answer(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "X-Repo-Commit": SHA, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Stays silent."""


def _ref(name: str) -> dict[str, str]:
    return {"name": name, "ref": f"refs/heads/{name}", "targetCommit": SHA}


@contextmanager
def hub_server(served: dict[str, Path], cache: Path) -> Iterator[None]:
    """Serves folders as datasets and as models, at the place where the client library looks for the Hub.

    Args:
        served: The folders by the ids of the repositories.
        cache: Where the library keeps what it fetches.
    """
    handler = type("Handler", (_Handler,), {"served": served})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        with hub_at(endpoint, cache):
            yield
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def hub_at(endpoint: str, cache: Path) -> Iterator[None]:
    """Has the client library look for the Hub at another place; nobody need be there.

    Args:
        endpoint: The address.
        cache: Where the library keeps what it fetches.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "ENDPOINT", endpoint)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
        patch.setattr(constants, "HF_HUB_CACHE", str(cache))
        for place in (constants, datasets.config):  # which are changed where there is no way
            patch.setattr(place, "HF_HUB_OFFLINE", False)
        hub.reachable.cache_clear()
        try:
            yield
        finally:
            hub.reachable.cache_clear()
