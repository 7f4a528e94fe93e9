"""Finds a trained model: a file, a folder, or a repository on the Hugging Face Hub, which is downloaded."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

from emotion_lit.errors import UserError
from emotion_lit.inference.export_contract import read_contract
from emotion_lit.inference.export_files import CONFIG_FILE, FILES, LABELS_FILE
from emotion_lit.model.checkpoint import newest_checkpoint
from emotion_lit.utils import caches, hub
from emotion_lit.utils.files import reason_of
from emotion_lit.utils.names import shown
from emotion_lit.utils.paths import expanded

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
CHECKPOINTS = ("best.ckpt", "checkpoints/best.ckpt")
# Small files that show whether a repository has an export, without its weights.
DESCRIPTIONS = (LABELS_FILE, CONFIG_FILE)


def find_model(path: Any) -> Path:
    """The file or folder of a trained model; a model on the Hub is downloaded.

    Args:
        path: A checkpoint, a run folder, an export, or a Hub id.

    Raises:
        UserError: It is none of these, or cannot be downloaded.
    """
    if not isinstance(path, str | PurePath) or not str(path).strip():
        raise UserError(
            f"a model is the path of a checkpoint, a run or an export, or a Hub id, and not {shown(repr(path))}"
        )
    place = Path(expanded(path))
    if not place.exists() and HUB_ID.fullmatch(str(path)) and place.suffix != ".ckpt":
        return fetch_model(str(path))
    if place.is_file() and place.name in FILES:
        raise UserError(f"{place} is one of the files of an export, which is loaded whole; give {place.parent}")
    return place


def fetch_model(name: str) -> Path:
    """Downloads a trained model, an export or a checkpoint, on first use.

    Args:
        name: A Hub id with an owner.

    Raises:
        UserError: It cannot be downloaded, or was not made by emotion_lit.
    """
    with _clear_errors(name), hub.quietly():
        folder = _snapshot(name, (*DESCRIPTIONS, *CHECKPOINTS))
        if read_contract(folder) is not None:
            return _snapshot(name, FILES)
    if any((folder / one).is_file() for one in CHECKPOINTS):
        return folder
    raise UserError(
        f"the model {name} on the Hugging Face Hub has no labels.json of an export and no best.ckpt, so emotion_lit "
        "did not write it; give one that `export` wrote, or use transformers.pipeline"
    )


def _snapshot(name: str, patterns: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download

    hub.reachable()
    return Path(snapshot_download(name, allow_patterns=list(patterns)))


@contextmanager
def _clear_errors(name: str) -> Iterator[None]:
    """Turns errors of the library into messages that say what to do."""
    from huggingface_hub import errors

    newest = newest_checkpoint()
    nowhere = f"there is no file or folder {name}" + (f" (the newest checkpoint here is {newest})" if newest else "")
    try:
        yield
    except errors.GatedRepoError as error:
        raise UserError(
            f"the model {name} is gated: ask for access on its page on the Hugging Face Hub, then log in with "
            "`hf auth login`"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise UserError(
            f"{nowhere}, and no model of this name on the Hugging Face Hub, or it is private; give the path of a "
            "checkpoint, a run or an export, check the id, or log in with `hf auth login`"
        ) from error
    except errors.HFValidationError as error:
        raise UserError(
            f"{nowhere}, and the Hub has no such names; give the path of a checkpoint, a run or an export"
        ) from error
    except (errors.HfHubHTTPError, OSError, ValueError, RuntimeError) as error:
        response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
        if response is not None:
            line = f"cannot be fetched: the Hugging Face Hub answers {response.status_code}; check your access, or wait"
        elif isinstance(error, OSError) and error.filename:
            line = f"cannot be kept: {error.filename}: {error.strerror}; set {caches.VARIABLE} to a folder with room"
        elif hub.reachable():
            line = f"cannot be fetched: {reason_of(error)}"
        else:
            raise UserError(
                f"{nowhere}, no model of this name is in the cache, and the Hugging Face Hub cannot be reached; "
                "offline, give the path of a checkpoint, a run or an export"
            ) from error
        raise UserError(f"the model {name} {line}") from error
