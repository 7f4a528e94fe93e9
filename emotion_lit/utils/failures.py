"""Error messages: one line of advice for errors that a user can fix, and the file of the traceback for bugs."""

import errno
import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

from emotion_lit import __version__
from emotion_lit.utils.files import WRITING
from emotion_lit.utils.redaction import redact

DEBUG = "EMOTION_LIT_DEBUG"
TRACEBACK = "traceback.txt"

# The folder of the current run, where the traceback is written.
run_folder: Path | None = None

# Errors of the operating system that a user can fix. ENOENT is not one of them, because a missing file may be a bug.
REFUSALS = {
    errno.ENOSPC: "make room, and start again",
    errno.EDQUOT: "make room within your quota, and start again",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), and start again",
    errno.EMFILE: "raise the limit on open files (ulimit -n), and start again",
    errno.ENFILE: "the system has too many open files; close some, and start again",
    errno.EROFS: "choose a writable folder",
    errno.EACCES: "change its permissions, or give another place",
    errno.EPERM: "change its permissions, or give another place",
    errno.ENOTDIR: "a file is where a folder should be; move it, or give another place",
    errno.EEXIST: "something already exists; move it, or give another place",
    errno.EISDIR: "a folder is where a file should be; move it, or give another place",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ENOLCK: "the file system has no locks; give a folder on another one",
    errno.EIO: "the disk, or the network to it, has failed; give another place",
    errno.ESTALE: "the network file system has lost it; start again",
    errno.EAGAIN: "no more threads or processes can be started; raise the limit (ulimit -u), or close other programs",
    errno.ENOMEM: "there is not enough memory; close other programs, or take a smaller --data.tokens_per_batch",
}
OUT_OF_MEMORY = ("out of memory", "allocate memory", "not enough memory", "std::bad_alloc")
# A note on an error that begins like this continues the message "out of memory".
ADVICE = "advice:"
NO_THREADS = ("can't start new thread", "ThreadPoolBuildError", "Resource temporarily unavailable")
# Errors in a process after another process has ended.
LOST = ("Connection closed by peer", "Connection reset by peer", "recvValueWithTimeout failed", "failed to recv")
ELSEWHERE = "another process of this command has ended; see its message for the reason"
REFUSES = (ValueError, RuntimeError, NotImplementedError, ImportError)
CUT_OFF = ("PytorchStreamWriter failed", "unexpected pos")


def debugging() -> bool:
    """Whether tracebacks should be printed."""
    return os.environ.get(DEBUG, "") not in ("", "0")


def explain(error: BaseException) -> str | None:
    """One line of advice for an error that a user can fix.

    Args:
        error: The error.

    Returns:
        The line; None if it may be a bug.
    """
    for cause in _causes(error):
        line = _explain(cause)
        if line:
            return line
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        yield current
        seen.append(current)
        current = current.__cause__


def _explain(error: BaseException) -> str | None:
    message = _first_line(error)
    if isinstance(error, OSError):
        return _refusal(error)
    if isinstance(error, UnicodeError) and sys.getfilesystemencoding() != "utf-8":
        return f"the locale's encoding is {sys.getfilesystemencoding()}, which lacks a character; set PYTHONUTF8=1"
    if is_out_of_memory(error):
        usual = "; take a smaller --data.tokens_per_batch, or close other programs"
        return f"out of memory{_note(error, ADVICE) or usual} ({message[:120]})"
    if any(sign in str(error) for sign in NO_THREADS):
        return f"{REFUSALS[errno.EAGAIN]} ({message[:120]})"
    if any(sign in str(error) for sign in LOST) and isinstance(error, RuntimeError):
        return ELSEWHERE
    if any(sign in str(error) for sign in CUT_OFF):
        return f"{_file_of(error)} is truncated: the disk is full, or the limit on file sizes is too low (ulimit -f)"
    if type(error).__name__ == "MisconfigurationException" or _is_of_trainer(error):
        return f"the Trainer rejects its settings: {' '.join(str(error).split())}"
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory of a device or of the machine was too small.

    Args:
        error: The error.
    """
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in OUT_OF_MEMORY)


def _is_of_trainer(error: BaseException) -> bool:
    """Whether Lightning itself raised the error; its classes are not imported for this, because that is slow."""
    if not isinstance(error, REFUSES) or not str(error) or error.__traceback__ is None:
        return False
    frame = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][-1]
    return str(frame.f_globals.get("__name__", "")).startswith("lightning.pytorch.")


def _refusal(error: OSError) -> str | None:
    if "temporary directory" in str(error):
        return "no temporary folder can be written; set TMPDIR to a folder that can"
    advice = REFUSALS.get(error.errno or 0)
    if advice is None:
        return None
    return f"{_file_of(error)}: {error.strerror}; {advice}"


def _file_of(error: BaseException) -> str:
    """The file that an error is about, if it is known."""
    unknown = f"a file of {run_folder}" if run_folder else "the system"
    filename = getattr(error, "filename", None)
    return os.fsdecode(filename) if isinstance(filename, str | bytes) else _note(error, WRITING) or unknown


def _note(error: BaseException, start: str) -> str:
    """The first note on an error that begins with these characters, without them; empty if there is none."""
    notes = getattr(error, "__notes__", [])
    return next((note.removeprefix(start) for note in notes if note.startswith(start)), "")


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")


def unexpected(error: BaseException) -> str:
    """The message for an error that may be a bug; its traceback is written to a file.

    Args:
        error: The error.
    """
    text = "".join(traceback.format_exception(error))
    kept = _keep(
        f"emotion_lit {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"{' '.join(sys.argv)}\n\n{text}"
    )
    if kept is None or debugging():
        sys.stderr.write(text)
    where = f"in {kept}" if kept else "above"
    return (
        f"error: unexpected: {type(error).__name__}: {_first_line(error)[:200]}; the whole traceback is {where}; "
        f"please report it to whoever gave you emotion_lit, with {'that file' if kept else 'it'}"
    )


def _keep(text: str) -> Path | None:
    """Writes a traceback to the run folder, the working folder, or the temporary folder, whichever works first."""
    places = [run_folder / TRACEBACK] if run_folder and run_folder.is_dir() else []
    places.append(Path(f"emotion_lit-{TRACEBACK}"))
    for place in places:
        if _write(place, text):
            return place
    try:
        place = Path(tempfile.gettempdir()) / f"emotion_lit-{os.getpid()}-{TRACEBACK}"
    except OSError:
        return None
    return place if _write(place, text) else None


def _write(file: Path, text: str) -> bool:
    try:
        file.write_text(redact(text), encoding="utf-8", errors="backslashreplace")
    except OSError:
        return False
    return True
