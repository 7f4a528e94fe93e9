"""Data sets of the Hugging Face Hub: fetched as the folders that they are, and what to do where that fails."""

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from emotion_lit.data.dataset_card import CARD, Card, read_card
from emotion_lit.data.formats.files import COMPRESSIONS, OTHER_NAMES, SUFFIXES, kind
from emotion_lit.errors import UserError, unknown
from emotion_lit.utils import caches, hub
from emotion_lit.utils.files import reason_of

# Old data sets have no owner.
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
EVERY_KIND = [
    f"*{spelled}"
    for suffix in (*SUFFIXES, *OTHER_NAMES)
    for packed in ("", *COMPRESSIONS)
    for spelled in (suffix + packed, (suffix + packed).upper())
]


def is_hub_id(name: str) -> bool:
    """Whether a name can be that of a data set on the Hub.

    Args:
        name: A name that is neither a file nor a folder.
    """
    return HUB_ID.fullmatch(name) is not None and kind(Path(name)) not in SUFFIXES


def hub_folder(path: str) -> str:
    """The folder of a data set on the Hub, fetched on first use; any other path as it is.

    Args:
        path: A Hub id with an owner, or something else that can be read.

    Raises:
        UserError: It cannot be fetched.
    """
    if Path(path).exists() or "/" not in path or not is_hub_id(path):
        return path
    with _clear_errors(path, None), hub.quietly():
        return _snapshot(path, None, EVERY_KIND)


def fetch_dataset(dataset: str, config: str | None, revision: str | None) -> Path:
    """The folder of a data set on the Hub, with the files of one configuration at least.

    Args:
        dataset: Its id.
        config: Which of its configurations.
        revision: A branch, a tag or a commit; by default the newest.

    Raises:
        UserError: It cannot be fetched, or the configuration has to be named.
    """
    with _clear_errors(dataset, revision), hub.quietly():
        card = _card(dataset, revision)
        chosen, _ = card.choose(config, f"the data set {dataset}")
        wanted = EVERY_KIND
        if chosen and chosen.patterns:  # here * is for any number of folders
            patterns = [pattern for split in chosen.patterns.values() for pattern in split]
            wanted = [f"{chosen.folder}/{one.removeprefix('./')}".lstrip("/").replace("**/", "*") for one in patterns]
        try:
            folder = Path(_snapshot(dataset, revision, wanted))
            if any(kind(file) in SUFFIXES for file in folder.rglob("*")):
                return folder
        except OSError:
            if hub.reachable():
                raise
        return _by_datasets(dataset, config, revision)


def _card(dataset: str, revision: str | None) -> Card:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    hub.reachable()
    try:
        file = Path(hf_hub_download(dataset, CARD, repo_type="dataset", revision=revision))
    except EntryNotFoundError:
        return Card()
    return read_card(file.read_text("utf-8", "replace"), str(file))


def _by_datasets(dataset: str, config: str | None, revision: str | None) -> Path:
    """What `datasets` alone can read, such as archives, or has in its cache; as Parquet in a temporary folder."""
    import datasets

    folder = Path(tempfile.mkdtemp(dir=caches.temporary_dir()))
    (folder / (config or "")).mkdir(exist_ok=True)
    bars = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        for split, rows in datasets.load_dataset(dataset, config, revision=revision).items():
            rows.to_parquet(str(folder / (config or "") / f"{split}.parquet"))
    except Exception as error:  # of whatever reads what is in there
        raise UserError(f"the data set {dataset} {_reason(error)}") from error
    finally:
        if not bars:
            datasets.enable_progress_bars()
    return folder


def _snapshot(dataset: str, revision: str | None, patterns: Sequence[str]) -> str:
    from huggingface_hub import snapshot_download

    hub.reachable()
    return str(snapshot_download(dataset, repo_type="dataset", revision=revision, allow_patterns=list(patterns)))


@contextmanager
def _clear_errors(dataset: str, revision: str | None) -> Iterator[None]:
    """Turns what the library raises into what a person can act on."""
    from huggingface_hub import errors

    what = f"the data set {dataset}"
    try:
        yield
    except UserError:
        raise
    except errors.GatedRepoError as error:
        raise UserError(
            f"{what} is gated: ask for access on its page on the Hugging Face Hub, then log in with `hf auth login`"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise UserError(
            f"{what} was not found on the Hugging Face Hub, or is private, and no file or folder has this name; check "
            "data.dataset, or log in with `hf auth login`"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise unknown(f"{what}: the revision", str(revision), _revisions(dataset)) from error
    except errors.HFValidationError as error:
        raise UserError(
            f"there is no file or folder {dataset}, and the Hub has no such name; mend data.dataset"
        ) from error
    except (errors.HfHubHTTPError, OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{what} {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Why a data set cannot be had, for the rest of a sentence that begins with its name."""
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    if isinstance(error, OSError) and error.filename:
        return (
            f"cannot be kept: {error.filename}: {error.strerror}; set {caches.VARIABLE} to a folder that can be written"
        )
    if "scripts are no longer supported" in str(error):
        return "has a loading script and no data, and no script is ever run; try --data.revision refs/convert/parquet"
    if response is not None:
        return f"cannot be fetched: the Hugging Face Hub answers {response.status_code}; check your access, or wait"
    if hub.reachable():
        return f"cannot be read: {reason_of(error)}"
    return (
        "is not in the cache, and the Hugging Face Hub is out of reach; offline, data.dataset takes a folder, a file, "
        "or `sample`"
    )


def _revisions(dataset: str) -> list[str]:
    from huggingface_hub import HfApi

    try:
        refs = HfApi().list_repo_refs(dataset, repo_type="dataset")
    except Exception:  # the choices are a help alone
        return ["main"]
    return [one.name for one in (*refs.branches, *refs.tags)]
