"""Downloads of datasets from the Hugging Face Hub, with clear errors."""

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from emotion_lit.data.dataset_card import CARD, Card, read_card
from emotion_lit.data.formats.files import COMPRESSIONS, OTHER_NAMES, SUFFIXES, data_suffix
from emotion_lit.errors import UserError, unknown
from emotion_lit.utils import caches, hub
from emotion_lit.utils.files import reason_of

# Old datasets have no owner.
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
EVERY_KIND = [
    f"*{spelled}"
    for suffix in (*SUFFIXES, *OTHER_NAMES)
    for packed in ("", *COMPRESSIONS)
    for spelled in (suffix + packed, (suffix + packed).upper())
]


def is_hub_id(name: str) -> bool:
    """Whether a name, which is neither a file nor a folder, can be a dataset on the Hub."""
    return HUB_ID.fullmatch(name) is not None and data_suffix(Path(name)) not in SUFFIXES


def hub_folder(path: str) -> str:
    """The folder of a dataset on the Hub, downloaded on first use; other paths are returned unchanged.

    Args:
        path: A Hub id with an owner, or a path.

    Raises:
        UserError: The dataset cannot be downloaded.
    """
    if Path(path).exists() or "/" not in path or not is_hub_id(path):
        return path
    with _clear_errors(path, None), hub.quietly():
        return _snapshot(path, None, EVERY_KIND)


def fetch_dataset(dataset: str, config: str | None, revision: str | None) -> Path:
    """The folder of a dataset on the Hub, with at least the files of one configuration.

    Args:
        dataset: The Hub id.
        config: The configuration, if the dataset has several.
        revision: A branch, a tag or a commit; by default the newest.

    Raises:
        UserError: The dataset cannot be downloaded, or the configuration has to be named.
    """
    with _clear_errors(dataset, revision), hub.quietly():
        card = _card(dataset, revision)
        chosen, _ = card.choose(config, f"the dataset {dataset}")
        wanted = EVERY_KIND
        if chosen and chosen.patterns:  # in these patterns, * matches any number of folders
            patterns = [pattern for split in chosen.patterns.values() for pattern in split]
            wanted = [f"{chosen.folder}/{one.removeprefix('./')}".lstrip("/").replace("**/", "*") for one in patterns]
        try:
            folder = Path(_snapshot(dataset, revision, wanted))
            if any(data_suffix(file) in SUFFIXES for file in folder.rglob("*")):
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
    """Converts what only `datasets` can read, such as archives, or has in its cache, to Parquet files."""
    import datasets

    folder = Path(tempfile.mkdtemp(dir=caches.temporary_dir()))
    (folder / (config or "")).mkdir(exist_ok=True)
    bars = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        for split, rows in datasets.load_dataset(dataset, config, revision=revision).items():
            rows.to_parquet(str(folder / (config or "") / f"{split}.parquet"))
    except Exception as error:  # any error of the builder
        raise UserError(f"the dataset {dataset} {_reason(error)}") from error
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
    """Turns errors of the library into messages for the user."""
    from huggingface_hub import errors

    what = f"the dataset {dataset}"
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
            f"there is no file or folder {dataset}, and the Hub has no such name; correct data.dataset"
        ) from error
    except (errors.HfHubHTTPError, OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{what} {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The reason of an error, for a sentence that begins with the name of the dataset."""
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    if isinstance(error, OSError) and error.filename:
        return (
            f"cannot be kept: {error.filename}: {error.strerror}; set {caches.VARIABLE} to a folder that can be written"
        )
    if "scripts are no longer supported" in str(error):
        return "has a loading script, which is never run, and no data; try --data.revision refs/convert/parquet"
    if response is not None:
        return f"cannot be downloaded: the Hugging Face Hub answers {response.status_code}; check your access, or wait"
    if hub.reachable():
        return f"cannot be read: {reason_of(error)}"
    return (
        "is not in the cache, and the Hugging Face Hub cannot be reached; offline, data.dataset takes a folder, a "
        "file, or `sample`"
    )


def _revisions(dataset: str) -> list[str]:
    from huggingface_hub import HfApi

    try:
        refs = HfApi().list_repo_refs(dataset, repo_type="dataset")
    except Exception:  # the names are only suggestions
        return ["main"]
    return [one.name for one in (*refs.branches, *refs.tags)]
