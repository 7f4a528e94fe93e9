"""An output that grows in parts beside its name, so that nothing is lost and nothing half-done is seen."""

import contextlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from emotion_lit.callbacks.formats import FORMATS, Row, atomically, json_line
from emotion_lit.errors import UserError

STATE = "state.json"
JOINED = "joined"


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

    def __init__(self, target: Path, columns: Sequence[str]) -> None:
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
        self.target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout:
            raise UserError(
                f"another run is writing {self.target}; wait for it, or give another --prediction.path"
            ) from None
        try:
            self.state = self._kept(made_from, overwrite)
            self.folder.mkdir(exist_ok=True)
            self._save()
        except BaseException:
            self._unlock()
            raise
        return self.state

    def _kept(self, made_from: dict[str, Any], overwrite: bool) -> State:
        made_from = json.loads(json.dumps(made_from))
        kept = self._read_state()
        differs = sorted(key for key in made_from if kept and kept.made_from.get(key) != made_from[key])
        if kept and not differs:
            return kept
        if kept and not overwrite:
            raise UserError(
                f"{kept.rows:,} rows of {self.target} are kept from a run that was broken off, but since then "
                f"{' and '.join(differs)} changed; change it back to go on, or start anew with "
                "--prediction.overwrite true"
            )
        if self.target.exists() and not overwrite:
            raise UserError(
                f"{self.target} is there already; give another --prediction.path, or --prediction.overwrite true"
            )
        shutil.rmtree(self.folder, ignore_errors=True)
        return State(made_from)

    def _read_state(self) -> State | None:
        try:
            return State(**json.loads((self.folder / STATE).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise UserError(f"{self.folder / STATE} is damaged; remove the folder {self.folder}") from error

    def _save(self) -> None:
        with atomically(self.folder / STATE) as path:
            path.write_text(json.dumps(asdict(self.state)), encoding="utf-8")

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
        with atomically(self._part(number)) as path:
            self._format.write(rows, self.columns, path)
        if rejects:
            with atomically(self._rejects(number)) as path:
                path.write_text("".join(map(json_line, rejects)), encoding="utf-8")
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
        joined = self.folder / JOINED
        if not self.state.joined:
            parts = [self._part(number) for number in range(self.state.windows)]
            self._format.join(parts, self.columns, joined)
            with atomically(self.rejects) as path:
                parts = [self._rejects(number) for number in range(self.state.windows)]
                path.write_bytes(b"".join(part.read_bytes() for part in parts if part.exists()))
            if not self.state.rejects:
                self.rejects.unlink()
            self.state.joined = True
            self._save()
        if joined.exists():
            joined.replace(self.target)
        shutil.rmtree(self.folder)
        self._unlock()

    def close(self) -> None:
        """Lets go of the output, without completing it."""
        self._unlock()
        if not self.state.windows:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _unlock(self) -> None:
        with contextlib.suppress(OSError):  # Windows removes no open file
            Path(self._lock.lock_file).unlink()
        self._lock.release()
