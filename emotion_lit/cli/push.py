"""Uploads an export to the Hugging Face Hub, where the repository then contains exactly that."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from emotion_lit.errors import UserError
from emotion_lit.inference.export_contract import read_contract
from emotion_lit.inference.export_files import CONFIG_FILE, FILES, LABELS_FILE, file_sha256
from emotion_lit.utils import caches, hub
from emotion_lit.utils.console import say
from emotion_lit.utils.names import listed
from emotion_lit.utils.redaction import redact

# A file of the Hub, which lists the files in large-file storage.
KEPT = ".gitattributes"
LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"
# What to do about an answer of the Hub.
ADVICE = {
    401: LOG_IN,
    403: "log in with a token that may write there (`hf auth login`), or choose another repository",
    409: "somebody else has changed the repository; run the same command again",
    412: "somebody else has changed the repository; run the same command again",
    413: "the files are larger than the Hub accepts",
    429: "run the same command again later",
}


@dataclass(frozen=True)
class Repository:
    """A repository on the Hub that an export may go to.

    Args:
        name: Its id, with the owner.
        private: Whether it has to be private; None makes a new one private, and keeps an existing one as it is.
        overwrite: Whether files in it may be removed that no export wrote.
    """

    name: str
    private: bool | None
    overwrite: bool


def find_repository(name: str, private: bool | None, overwrite: bool) -> Repository:
    """Checks that an export can be uploaded, before there is one; nothing is changed on the Hub.

    Args:
        name: A Hub id; without an owner, it is that of who is logged in.
        private: Whether the repository is to be private; None is yes for a new one.
        overwrite: Whether files in it may be removed that no export wrote.

    Raises:
        UserError: It cannot.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HFValidationError, LocalTokenNotFoundError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise UserError(
            f"push_to_hub {name!r} is not a Hub id: {' '.join(str(error).split())}; give OWNER/NAME"
        ) from error
    if constants.HF_HUB_OFFLINE:
        raise UserError(f"nothing can be uploaded to {name}: HF_HUB_OFFLINE is set; unset it, or leave out push_to_hub")
    if not hub.reachable():
        raise UserError(
            f"nothing can be uploaded to {name}: {constants.ENDPOINT} cannot be reached; leave out push_to_hub, and "
            "run the same command again with --overwrite true when it is reachable"
        )
    api = HfApi()
    with _reasons(f"nothing can be uploaded to {name}"):
        try:
            user = api.whoami()
        except LocalTokenNotFoundError as error:
            raise UserError(f"nothing can be uploaded to {name}: nobody is logged in; {LOG_IN}") from error
        full = name if "/" in name else f"{user['name']}/{name}"
        found = _info(api, full)
        _check_rights(user, full, exists=found is not None)
        if found is not None:
            _check_own(api, full, found, overwrite)
    return Repository(full, private, overwrite)


def _check_card(card: Path) -> None:
    """Lets the Hub check a model card, before anything is uploaded.

    Raises:
        ValueError: The Hub refuses it.
        HfHubHTTPError: The Hub cannot check it.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session, hf_raise_for_status  # type: ignore[attr-defined]

    # ModelCard.validate of huggingface_hub 1 asks the public Hub, whatever HF_ENDPOINT is.
    body = {"repoType": "model", "content": card.read_text(encoding="utf-8")}
    answer = get_session().post(f"{constants.ENDPOINT}/api/validate-yaml", json=body, headers={"Accept": "text/plain"})
    if answer.status_code == HTTPStatus.BAD_REQUEST:
        raise ValueError(answer.text)
    hf_raise_for_status(answer)


def push(folder: Path, repository: Repository) -> None:
    """Uploads an export, removes what the repository contained before, and reads it back.

    Args:
        folder: The export.
        repository: Where to.

    Raises:
        UserError: The Hub refuses it, or gives back something else.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    api = HfApi()
    files = sorted(file.name for file in folder.iterdir())
    with _reasons(f"{folder} is complete, but is not on the Hub: the card is refused"):
        _check_card(folder / "README.md")
    with _reasons(f"{folder} is complete, but could not be uploaded to {repository.name}"):
        there = _info(api, repository.name)
        private = repository.private is not False if there is None else repository.private
        name = api.create_repo(repository.name, private=private, exist_ok=True).repo_id
        info = api.model_info(name)
        if there is not None and private is not None and bool(info.private) != private:
            api.update_repo_settings(name, private=private)  # before any private file is uploaded
        _check_own(api, name, info, repository.overwrite)
        old = {one.rfilename for one in info.siblings or []} - {KEPT, *files}
        commit = api.create_commit(
            name,
            [
                *(CommitOperationAdd(file, folder / file) for file in files),
                *(CommitOperationDelete(file) for file in sorted(old)),
            ],
            commit_message="Upload an export of emotion_lit",
            parent_commit=info.sha,
        )
    with _reasons(f"{folder} was uploaded to {name}, but could not be read back"):
        _read_back(api, name, commit.oid, folder, files)
    say(f"uploaded     {commit.commit_url}")
    say(f"read back    {len(files)} files, all as they were written")


def _info(api: Any, name: str) -> Any:
    """The Hub's description of a repository; None if there is none."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return api.model_info(name)
    except RepositoryNotFoundError:
        return None


def _check_rights(user: dict[str, Any], name: str, exists: bool) -> None:
    """Refuses what the token or the owner rules out; tokens of fine grain tell when they are used."""
    role = ((user.get("auth") or {}).get("accessToken") or {}).get("role")
    if role == "read":
        raise UserError(
            f"nothing can be uploaded to {name}: the token of {user['name']} can only read; create one with write "
            f"access, and {LOG_IN}"
        )
    owners = [user["name"], *(one["name"] for one in user.get("orgs") or [])]
    if not exists and role == "write" and name.split("/")[0] not in owners:
        raise UserError(
            f"nothing can be uploaded to {name}: {user['name']} is logged in, and owners that may be written to are "
            f"{listed(owners)}; give one of these, or log in as another user"
        )


def _check_own(api: Any, name: str, info: Any, overwrite: bool) -> None:
    """Refuses to remove files that no export wrote."""
    if overwrite:
        return
    names = [one.rfilename for one in info.siblings or [] if one.rfilename != KEPT]
    with caches.temporary_folder() as folder:
        for file in {LABELS_FILE, CONFIG_FILE} & set(names):
            api.hf_hub_download(name, file, revision=info.sha, local_dir=folder)
        try:
            ours = read_contract(Path(folder)) is not None
        except UserError:
            ours = False
    others = [file for file in names if not ours or file not in FILES]
    if others:
        raise UserError(
            f"{name} contains files that no export wrote: {listed(others, 5)}; give another --push_to_hub, or "
            "--overwrite true to remove them"
        )


def _read_back(api: Any, name: str, revision: str, folder: Path, files: list[str]) -> None:
    """Compares what the Hub gives with what was written.

    Raises:
        UserError: It is something else.
    """
    there = set(api.list_repo_files(name, revision=revision)) - {KEPT}
    odd = sorted(there ^ set(files))
    with caches.temporary_folder() as copies:
        for file in [] if odd else files:
            copy = Path(api.hf_hub_download(name, file, revision=revision, local_dir=copies))
            if file_sha256(copy) != file_sha256(folder / file):
                odd.append(file)
    if odd:
        raise UserError(f"{name} does not contain what was uploaded: {listed(odd)}; run the same command again")


@contextlib.contextmanager
def _reasons(what: str) -> Iterator[None]:
    """Raises an error of the Hub as one line, with advice.

    Raises:
        UserError: The Hub refuses.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        yield
    except UserError:
        raise
    except Exception as error:  # the Hub and HTTP clients raise many types
        status = getattr(getattr(error, "response", None), "status_code", None)
        advice = ADVICE.get(status or 0, "")
        if isinstance(error, RepositoryNotFoundError):
            advice = "log in as somebody who may see it, or choose another repository"
        elif not advice and (status is None or status >= 500) and not isinstance(error, ValueError):
            advice = "run the same command again later"
        line = redact(" ".join(_message(error).split())).rstrip(".;")
        raise UserError(f"{what}: {line or type(error).__name__}{'; ' if advice else ''}{advice}") from error


def _message(error: Exception) -> str:
    """The message of an error, also if the Hub answers in JSON."""
    text = str(error)
    try:
        errors = json.loads(text)["errors"]
        return "; ".join(str(one.get("message", one)) for one in errors)
    except (ValueError, KeyError, TypeError, AttributeError):
        return text
