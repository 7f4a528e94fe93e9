"""Files on this machine, or on any file system that fsspec or pyarrow reaches, such as ``s3://``."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from emotion_lit.data.downloads import hub_folder
from emotion_lit.data.formats.files import SUFFIXES, data_suffix, record_files
from emotion_lit.errors import UserError
from emotion_lit.utils.files import atomic_path, reason_of
from emotion_lit.utils.paths import REMOTE

PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "hf": "huggingface_hub"}


def is_remote(path: str) -> bool:
    """Whether a path is an address, such as ``s3://bucket/texts``.

    Args:
        path: A path or an address.
    """
    return REMOTE.match(path) is not None


def file_system(address: str) -> tuple[Any, str]:
    """The file system of an address, as fsspec has them, and the path on it.

    Args:
        address: Such as ``s3://bucket/texts``.

    Raises:
        UserError: It needs a package that is not installed, or is not known.
    """
    from fsspec.core import url_to_fs

    protocol = address.split("://")[0]
    try:
        found, path = url_to_fs(address)
        return found, str(path)
    except ImportError as error:
        with contextlib.suppress(Exception):
            return _arrow_file_system(address)
        package = PACKAGES.get(protocol, "a package of fsspec")
        raise UserError(f"{address} cannot be reached: type pip install {package} ({reason_of(error)})") from error
    except ValueError as error:
        raise UserError(f"{address} cannot be reached: {reason_of(error)}") from error


def _arrow_file_system(address: str) -> tuple[Any, str]:
    """The file system of pyarrow, which has S3 and Google's without another package."""
    from fsspec.implementations.arrow import ArrowFSWrapper
    from pyarrow.fs import FileSystem

    found, path = FileSystem.from_uri(address)
    return ArrowFSWrapper(found), path


def input_files(path: str) -> list[str]:
    """The files to read: a file, or all data files in a folder, sorted by name.

    Args:
        path: A path on this machine, a dataset on the Hub, or an address.

    Raises:
        UserError: There is nothing to read.
    """
    if not is_remote(path):
        return [str(Path(file).absolute()) for file in record_files(hub_folder(path))]
    system, root = file_system(path)
    with _clear_errors(path):
        if not system.exists(root):
            raise FileNotFoundError
        if system.isfile(root):
            found = [root]
        else:
            found = sorted(str(file) for file in system.find(root))
            found = [file for file in found if not _is_hidden(PurePosixPath(file).relative_to(root.rstrip("/") or "/"))]
    files = [file for file in found if data_suffix(Path(file)) in SUFFIXES]
    if not files:
        raise UserError(f"{path} holds no file of {', '.join(SUFFIXES)}")
    return [str(system.unstrip_protocol(file)) for file in files]


def _is_hidden(path: PurePosixPath) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


@contextlib.contextmanager
def local_copy(file: str) -> Iterator[str]:
    """The path of a file on this machine; of an address, a copy for a while.

    Args:
        file: A path or an address.

    Raises:
        UserError: It cannot be read.
    """
    if not is_remote(file):
        yield file
        return
    system, path = file_system(file)
    with tempfile.TemporaryDirectory(prefix="emotion_lit-") as folder:
        copy = Path(folder) / PurePosixPath(path).name
        with _clear_errors(file), system.open(path, "rb") as remote, copy.open("wb") as local:
            shutil.copyfileobj(remote, local, 2**22)
        yield str(copy)


@contextlib.contextmanager
def _clear_errors(address: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"there is no file or folder {address}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{address} cannot be read: {reason_of(error)}") from error


@dataclass
class OutputFolder:
    """A folder to which whole files are written: nobody ever sees a part of one.

    It is pickled as its address.

    Args:
        address: A path on this machine or a shared disk, or an address.
    """

    address: str
    _opened: tuple[Any, str] | None = field(default=None, repr=False, compare=False)

    @property
    def is_local(self) -> bool:
        """Whether it is a path."""
        return not is_remote(self.address)

    def __getstate__(self) -> dict[str, Any]:
        """The address; a connection stays in its process."""
        return {"address": self.address, "_opened": None}

    @property
    def _system(self) -> tuple[Any, str]:
        if self._opened is None:
            self._opened = file_system(self.address)
        return self._opened

    def path(self, name: str) -> Path:
        """The path of a file, in a folder on this machine.

        Args:
            name: Its name in the folder.
        """
        return Path(self.address) / name

    def write(self, name: str, content: bytes) -> None:
        """Writes a file, in place of an earlier one.

        Args:
            name: Its name in the folder.
            content: Its content.

        Raises:
            OSError: It cannot be written.
        """
        if self.is_local:
            path = self.path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(path) as unfinished:
                unfinished.write_bytes(content)
        else:
            system, root = self._system
            target = f"{root}/{name}"
            system.makedirs(target.rpartition("/")[0], exist_ok=True)
            system.pipe_file(target, content)

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if it is missing.

        Args:
            name: Its name in the folder.
        """
        try:
            if self.is_local:
                return self.path(name).read_bytes()
            system, root = self._system
            return bytes(system.cat_file(f"{root}/{name}"))
        except FileNotFoundError:
            return None

    def sizes(self, folder: str = "") -> dict[str, int]:
        """The files in a folder of it by their names, and their bytes.

        Args:
            folder: The folder's name in this one; by default this one itself.
        """
        if self.is_local:
            place = self.path(folder) if folder else Path(self.address)
            files = [file for file in place.iterdir() if file.is_file()] if place.is_dir() else []
            return {file.name: file.stat().st_size for file in files}
        system, root = self._system
        try:
            found = system.ls(f"{root}/{folder}".rstrip("/"), detail=True)
        except FileNotFoundError:
            return {}
        return {PurePosixPath(one["name"]).name: int(one["size"]) for one in found if one["type"] == "file"}

    def remove(self, names: Sequence[str]) -> None:
        """Removes files.

        Args:
            names: Their names in the folder; they may be missing.
        """
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                if self.is_local:
                    self.path(name).unlink()
                else:
                    system, root = self._system
                    system.rm_file(f"{root}/{name}")
