"""Data files: the formats that can be read, the files of a folder, and their decompressed bytes."""

import bz2
import gzip
import io
import lzma
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from emotion_lit.data.formats.unsupported import binary_format, conversion
from emotion_lit.errors import UserError
from emotion_lit.utils.console import say

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".arrow", ".txt")
COMPRESSIONS = (".gz", ".zst", ".bz2", ".xz", ".zip")
OTHER_NAMES = {".ndjson": ".jsonl", ".feather": ".arrow", ".tab": ".tsv"}
# Files that `datasets` and others write next to the data.
NO_ROWS = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"}
# These need random access, so they are decompressed into a temporary file.
IN_BLOCKS = (".parquet", ".arrow")
MOST_UNPACKED = 2**32


def data_suffix(file: Path) -> str:
    """The suffix of a file's format: in lower case, without compression, ``.ndjson`` as ``.jsonl`` and so on."""
    suffix = (Path(file.stem) if file.suffix.lower() in COMPRESSIONS else file).suffix.lower()
    return OTHER_NAMES.get(suffix, suffix)


def check_readable(file: Path) -> None:
    """Raises `UserError` if a file is missing, or its format cannot be read."""
    if not file.is_file():
        raise UserError(f"there is no file {file}")
    if data_suffix(file) not in SUFFIXES:
        advice = conversion(file) or "rename or convert it"
        raise UserError(
            f"{file} is not one of {', '.join(SUFFIXES)}, nor one of these as {', '.join(COMPRESSIONS)}; {advice}"
        )


def record_files(path: str) -> list[str]:
    """The files to read for a path: the file itself, or all data files in a folder, sorted by name.

    Args:
        path: A file, a folder, or ``-``.

    Raises:
        UserError: There is nothing to read.
    """
    folder = Path(path)
    if path == "-" or not folder.is_dir():
        if path != "-":
            check_readable(folder)
        return [path]
    found = [file for file in folder.rglob("*") if data_suffix(file) in SUFFIXES and _has_rows(file, folder)]
    files = [file for file in found if is_inside(file, folder)]
    if len(files) < len(found):
        first, count = min(set(found) - set(files)), len(found) - len(files)
        say(f"warning: {first} is a link to a place outside of {folder}, and is not read ({count} such links)")
    if not files:
        raise UserError(f"the folder {path} has no file of {', '.join(SUFFIXES)}")
    return [str(file) for file in sorted(files, key=Path.as_posix)]  # the same order on every system


def is_inside(file: Path, folder: Path) -> bool:
    """Whether a file in a folder is not a link to a place outside of it.

    Args:
        file: The file.
        folder: The folder. A snapshot in the Hub's cache links to the files of its repository.
    """
    whole = folder.resolve()
    if whole.parent.name == "snapshots" and (whole.parent.parent / "blobs").is_dir():
        whole = whole.parent.parent
    return file.resolve().is_relative_to(whole)


def _has_rows(file: Path, folder: Path) -> bool:
    """Whether a file has data; hidden files do not, such as unfinished predictions in the same folder."""
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return file.is_file() and not hidden and file.name not in NO_ROWS


@contextmanager
def open_decompressed(file: Path) -> Iterator[BinaryIO]:
    """Opens a file, decompressed; raises `UserError` if it is missing, damaged, or of another format."""
    check_readable(file)
    try:
        with _uncompressed(file) as raw:
            if data_suffix(file) in IN_BLOCKS and file.suffix.lower() in COMPRESSIONS:
                with tempfile.TemporaryFile() as whole:
                    _unpack(raw, whole, file)
                    yield cast(BinaryIO, whole)
            else:
                yield raw
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise UserError(f"{file.name} is truncated or damaged ({error}); copy it again") from error
    except OSError as error:
        if error.strerror:
            raise UserError(f"{file} cannot be read: {error.strerror}") from error
        raise UserError(f"{file.name} is truncated or damaged ({error}); copy it again") from error


def check_text(start: bytes, name: str) -> None:
    """Raises `UserError` if a file that is named as text begins like another format.

    Args:
        start: The first bytes of the file.
        name: The name of the file.
    """
    if found := binary_format(start):
        raise UserError(f"{name} is named as text, but {found}")


def _unpack(raw: BinaryIO, whole: io.BufferedRandom | BinaryIO, file: Path) -> None:
    while chunk := raw.read(2**20):
        if whole.tell() > MOST_UNPACKED:
            raise UserError(f"{file} unpacks to more than {MOST_UNPACKED / 2**30:.0f} GiB; unpack it yourself")
        whole.write(chunk)
    whole.seek(0)


@contextmanager
def _uncompressed(file: Path) -> Iterator[BinaryIO]:
    compression = file.suffix.lower()
    if compression == ".zip":
        with zipfile.ZipFile(file) as archive, archive.open(_only_member(archive, file)) as raw:
            yield cast(BinaryIO, raw)
    elif compression == ".zst":
        import pyarrow as pa

        with pa.input_stream(str(file), compression="zstd") as stream, io.BufferedReader(stream) as raw:
            yield cast(BinaryIO, raw)
    else:
        openers = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
        opener = openers.get(compression, open)
        with opener(file, "rb") as raw:  # type: ignore[operator]
            yield cast(BinaryIO, raw)


def _only_member(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    members = [file for file in archive.infolist() if not (file.is_dir() or file.filename.startswith("__MACOSX/"))]
    if len(members) != 1:
        raise UserError(f"{path} contains {len(members)} files where one is expected; unpack it and name one of them")
    if members[0].flag_bits & 1:
        raise UserError(f"{path} needs a password; unpack it yourself")
    return members[0]
