"""An output that grows in parts beside its name, so that nothing is lost and nothing half-done is seen."""

import contextlib
import errno
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from emotion_lit.callbacks.formats import FORMATS, Columns, Row, concatenate, json_line
from emotion_lit.console import say
from emotion_lit.errors import UserError
from emotion_lit.files import atomic_path, replace, why_not_writable, write_text

STATE = "state.json"
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
JOINED, JOINED_REJECTS = "joined", "joined.rejects"


@dataclass
class State:
    """How far an output is.

    Args:
        made_from: What decides its bytes: the model, the settings, and a hash of the input where that is known.
        windows: Windows of the input that are done.
        rows: Rows of them.
        rejects: Rows of them that could not be read.
        unlabelled: Rows of them without a label.
        first_unlabelled: The first of these, counted from one.
        digest: A hash of the input up to there.
        engine: What computes them.
        joined: Whether all parts are one file that only lacks its name.
    """

    made_from: dict[str, Any]
    windows: int = 0
    rows: int = 0
    rejects: int = 0
    unlabelled: int = 0
    first_unlabelled: int | None = None
    digest: str = ""
    engine: str | None = None
    joined: bool = False


class Parts:
    """The parts of an output, in a folder beside it.

    A part takes its name when it is complete, then the state says so; what the state does not count is written again.

    Args:
        target: The output.
        columns: Its columns.
    """

    def __init__(self, target: Path, columns: Columns) -> None:
        self.target = target
        self.rejects = target.with_name(f"{target.name}.rejects.jsonl")
        self.columns = columns
        self.folder = target.with_name(f".{target.name}.parts")
        self._format = FORMATS[target.suffix]
        self._lock = FileLock(target.with_name(f".{target.name}.lock"), timeout=0)

    def open(self, made_from: dict[str, Any], overwrite: bool) -> State:
        """Begins, or goes on where an earlier run stopped.

        Args:
            made_from: What decides the bytes of the output.
            overwrite: Whether an output that is there may be replaced, and other parts thrown away.

        Raises:
            UserError: Another run writes the same output, or there is one already, or the parts of another one.
            OSError: The folder cannot be written.
        """
        # Before the lock, which takes a folder that cannot be written for another run.
        if reason := why_not_writable(self.target.parent):
            raise UserError(f"{self.target} cannot be written: {reason}; give another --prediction.path")
        try:
            self._lock.acquire()
        except Timeout:
            raise UserError(
                f"another run is writing {self.target}; wait for it, or give another --prediction.path"
            ) from None
        except (OSError, NotImplementedError) as error:  # FileLock's, where the file system has no locks
            if isinstance(error, OSError) and error.errno not in NO_LOCKS:
                raise
            say(f"{self.target.parent} has no locks: nothing would stop a second run that writes {self.target}")
        try:
            self.state = self._kept(made_from, overwrite)
            self.folder.mkdir(exist_ok=True)
            self._save()
            if not self.state.windows and not self.state.joined:
                self._clear()
        except BaseException:
            self._unlock()
            raise
        return self.state

    def _kept(self, made_from: dict[str, Any], overwrite: bool) -> State:
        made_from = json.loads(json.dumps(made_from))
        kept = self._read_state()
        published = kept is not None and kept.joined and not (self.folder / JOINED).exists()
        if published and not self.target.exists():
            kept = None  # complete, and gone since
        differs = sorted(key for key in made_from if kept and kept.made_from.get(key) != made_from[key])
        if kept and not differs and (published or overwrite or not self.target.exists()):
            return kept
        if kept and differs and not overwrite:
            raise UserError(
                f"{kept.rows:,} rows of {self.target} are kept from a run that was broken off, but since then "
                f"{' and '.join(differs)} changed; change it back to go on, or start anew with "
                "--prediction.overwrite true"
            )
        for file in (self.target, self.rejects):
            if file.exists() and not overwrite:
                raise UserError(
                    f"{file} is there already; give another --prediction.path, or --prediction.overwrite true"
                )
        return State(made_from)

    def _read_state(self) -> State | None:
        try:
            return State(**json.loads((self.folder / STATE).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise UserError(f"{self.folder / STATE} is damaged; remove the folder {self.folder}") from error

    def _save(self) -> None:
        write_text(self.folder / STATE, json.dumps(asdict(self.state)))

    def remember_engine(self, engine: str) -> None:
        """Makes a later run go on with the same engine, because others differ in the last digits.

        Args:
            engine: Its name.
        """
        self.state.engine = engine
        self._save()

    def add(self, rows: Sequence[Row], rejects: Sequence[Row], unlabelled: Sequence[int], digest: str) -> None:
        """Keeps the rows of the next window.

        Args:
            rows: Its rows.
            rejects: What could not be read.
            unlabelled: Rows without a label, counted from one.
            digest: The hash of the input up to its end.
        """
        number = self.state.windows
        with atomic_path(self._part(number)) as path:
            self._format.write(rows, self.columns, path)
        if rejects:
            write_text(self._rejects(number), "".join(map(json_line, rejects)))
        else:
            self._rejects(number).unlink(missing_ok=True)
        state = self.state
        state.windows, state.digest = number + 1, digest
        state.rows, state.rejects = state.rows + len(rows), state.rejects + len(rejects)
        state.unlabelled += len(unlabelled)
        state.first_unlabelled = state.first_unlabelled or next(iter(unlabelled), None)
        self._save()

    def _part(self, number: int) -> Path:
        return self.folder / f"{number:08}{self.target.suffix}"

    def _rejects(self, number: int) -> Path:
        return self.folder / f"{number:08}.rejects"

    def publish(self) -> None:
        """Puts the complete output under its name."""
        joined, rejects, numbers = self.folder / JOINED, self.folder / JOINED_REJECTS, range(self.state.windows)
        if not self.state.joined:
            self._format.join([self._part(number) for number in numbers], self.columns, joined)
            concatenate([part for part in map(self._rejects, numbers) if part.exists()], rejects)
            self.state.joined = True
            self._save()
        if rejects.exists():
            replace(rejects, self.rejects)
        if not self.state.rejects:
            self.rejects.unlink(missing_ok=True)
        if joined.exists():
            replace(joined, self.target)
        self._remove()
        self._unlock()

    def close(self) -> None:
        """Lets go of the output, without completing it."""
        if not self.state.windows:
            self._remove()
        self._unlock()

    def _clear(self) -> None:
        """Removes everything but the state, which is what a later run believes."""
        for file in self.folder.iterdir():
            if file.name != STATE:
                file.unlink()

    def _remove(self) -> None:
        self._clear()
        shutil.rmtree(self.folder)

    def _unlock(self) -> None:
        with contextlib.suppress(OSError):  # Windows removes no open file
            Path(self._lock.lock_file).unlink()
        self._lock.release()
