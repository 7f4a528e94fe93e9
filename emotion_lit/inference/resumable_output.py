"""An output that grows in parts beside its name, so that nothing is lost and nothing half-done is seen."""

import contextlib
import errno
import json
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from emotion_lit.errors import UserError
from emotion_lit.inference import sidecars
from emotion_lit.inference.engines import ENGINES
from emotion_lit.inference.sidecars import Part
from emotion_lit.inference.writers import FORMATS, NONE_KEPT, Columns, Format, Kept, Row, concatenate, json_line
from emotion_lit.utils.console import say
from emotion_lit.utils.files import atomic_path, replace, sweep, temporary_name, why_not_writable, write_text

STATE = "state.json"
# What is kept there.
KEPT = ("made_from", "engine", "joined")
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
JOINED, JOINED_REJECTS = "joined", "joined.rejects"


@dataclass
class State:
    """How far an output is.

    Args:
        made_from: What decides its bytes: the model, the settings, and a hash of the input where that is known.
        engine: What computes them.
        joined: Whether all parts are one file that only lacks its name.
        done: The parts that are known to be whole, by the numbers of their windows.
        run: A name of this run that no other one has.
    """

    made_from: dict[str, Any]
    engine: str | None = None
    joined: bool = False
    done: dict[int, Part] = field(default_factory=dict)
    run: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def windows(self) -> int:
        """Windows of the input that are done."""
        return len(self.done)

    @property
    def rows(self) -> int:
        """Rows of them."""
        return sum(part.rows for part in self.done.values())

    def counts(self) -> dict[str, int]:
        """Rows, rejects and unlabelled rows of all parts, and the first row without a label, or zero."""
        counts = {key: sum(getattr(part, key) for part in self.done.values()) for key in ("rows", "rejects")}
        counts["unlabelled"] = sum(part.unlabelled for part in self.done.values())
        first = (part.first_unlabelled for part in self.done.values() if part.first_unlabelled)
        return {**counts, "first_unlabelled": min(first, default=0)}


class Parts:
    """The parts of an output, in a folder beside it.

    A part takes its name when it is complete, then a sidecar says what is known of it; what has no sidecar, or does
    not agree with it, is written again. Several processes may add parts, of which the first one does everything else.

    Args:
        target: The output.
        columns: Its columns.
        form: How they are written; by default as the suffix of the output says.
    """

    def __init__(self, target: Path, columns: Columns, form: Format | None = None) -> None:
        self.target = target
        self.rejects = target.with_name(f"{target.name}.rejects.jsonl")
        self.columns = columns
        self.folder = target.with_name(f".{target.name}.parts")
        self.state = State({})
        self._format = form or FORMATS[target.suffix]
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
            sweep(self.target.parent)
            made_from = json.loads(json.dumps(made_from))
            kept = self._kept(made_from, overwrite)
            self.state = kept or State(made_from)
            self.folder.mkdir(exist_ok=True)
            self._save()
            if kept:
                self._keep_whole()
            else:
                self._clear()
        except BaseException:
            self._unlock()
            raise
        return self.state

    def _kept(self, made_from: dict[str, Any], overwrite: bool) -> State | None:
        kept = self._read_state(overwrite)
        published = kept is not None and kept.joined and not (self.folder / JOINED).exists()
        if published and not self.target.exists():
            kept = None  # complete, and gone since
        differs = sorted(key for key in made_from if kept and kept.made_from.get(key) != made_from[key])
        if kept and not differs and (published or overwrite or not self.target.exists()):
            return kept
        if kept and differs and not overwrite:
            self.state = kept
            raise UserError(
                f"{self.rows_kept():,} rows of {self.target} are kept from a run that was broken off, but since then "
                f"{' and '.join(differs)} changed; change it back to go on, or start anew with "
                "--prediction.overwrite true"
            )
        for file in (self.target, self.rejects):
            if file.exists() and not overwrite:
                raise UserError(
                    f"{file} is there already; give another --prediction.path, or --prediction.overwrite true"
                )
        return None

    def _read_state(self, overwrite: bool) -> State | None:
        file = self.folder / STATE
        try:
            kept = json.loads(file.read_text(encoding="utf-8"))
            if set(KEPT) < set(kept):
                return None  # of a release that kept totals there, and no sidecars
            state = State(**kept)
            if not isinstance(state.made_from, dict) or state.engine not in (None, *ENGINES):
                raise ValueError
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            if overwrite:
                return None
            raise UserError(f"{file} is damaged; start anew with --prediction.overwrite true") from error
        return state

    def _save(self) -> None:
        write_text(self.folder / STATE, json.dumps({key: getattr(self.state, key) for key in KEPT}))

    def remember_engine(self, engine: str) -> None:
        """Makes a later run go on with the same engine, if it still agrees; others differ in the last digits.

        Args:
            engine: Its name.
        """
        self.state.engine = engine
        self._save()

    def _keep_whole(self) -> None:
        """Counts the parts that are as their sidecars say, and forgets the others."""
        for number, part in self._known().items():
            if part and self._is_whole(number, part):
                self.state.done[number] = part
            else:
                self._sidecar(number).unlink(missing_ok=True)
                say(f"part {number} of {self.target} is damaged; computing it again")

    def _known(self) -> dict[int, Part | None]:
        """What all sidecars say; None for a damaged one."""
        numbers = sorted(int(file.stem) for file in self.folder.glob("*.json") if file.stem.isdecimal())
        return {number: sidecars.read(self._sidecar(number), self._binding(number)) for number in numbers}

    def _is_whole(self, number: int, part: Part) -> bool:
        found = sidecars.sha256(self._part(number)), sidecars.sha256(self._rejects(number))
        return found == (part.sha256, part.rejects_sha256)

    def _binding(self, number: int) -> list[Any]:
        return [number, self.state.made_from]

    def has_all(self, windows: int) -> bool:
        """Whether each window has its part, of all processes.

        Args:
            windows: How many windows the input has.
        """
        known = self._known()
        return all(known.get(number) for number in range(windows))

    def rows_kept(self) -> int:
        """Rows that a later run can go on after, of all processes."""
        return sum(part.rows for part in self._known().values() if part)

    def add(
        self,
        number: int,
        rows: Sequence[Row],
        rejects: Sequence[Row],
        unlabelled: Sequence[int],
        digest: str,
        kept: Kept = NONE_KEPT,
    ) -> None:
        """Keeps the rows of a window.

        Args:
            number: Its place among the windows.
            rows: Its rows.
            rejects: What could not be read.
            unlabelled: Rows without a label, counted from one.
            digest: The hash of the input up to its end.
            kept: Columns of the input as they came.
        """
        with atomic_path(self._part(number)) as path:
            self._format.write(rows, self.columns, path, kept)
            found = sidecars.sha256(path)
        if rejects:
            write_text(self._rejects(number), "".join(map(json_line, rejects)))
        else:
            self._rejects(number).unlink(missing_ok=True)
        counts = len(rows), len(rejects), len(unlabelled), next(iter(unlabelled), None)
        part = Part(*counts, digest, found, sidecars.sha256(self._rejects(number)))
        sidecars.write(self._sidecar(number), part, self._binding(number))
        self.state.done[number] = part

    def _part(self, number: int) -> Path:
        return self.folder / f"{number:08}{self.target.suffix}"

    def _rejects(self, number: int) -> Path:
        return self.folder / f"{number:08}.rejects"

    def _sidecar(self, number: int) -> Path:
        return self.folder / f"{number:08}.json"

    def say_failed(self) -> None:
        """Lets the other processes of this run know that this one has failed."""
        with contextlib.suppress(OSError):
            self._failure().touch()

    def has_failed(self) -> bool:
        """Whether a process of this run has said so."""
        return self._failure().exists()

    def _failure(self) -> Path:
        return self.folder / f"failed-{self.state.run}"

    def collect(self, digests: Sequence[str]) -> None:
        """Takes stock of the parts of all processes.

        Args:
            digests: The hash of the input up to the end of each window.

        Raises:
            UserError: A part is missing, or was made from something else.
        """
        known = self._known()
        self.state.done = {}
        for number, digest in enumerate(digests):
            part = known.get(number)
            if part is None or part.digest != digest:
                raise self._lost(number)
            self.state.done[number] = part

    def _lost(self, number: int) -> UserError:
        self._sidecar(number).unlink(missing_ok=True)
        return UserError(
            f"part {number} of {self.target} is damaged; run the same command again, which computes it once more"
        )

    def publish(self) -> None:
        """Puts the complete output under its name.

        Raises:
            UserError: A part has been damaged since it was written.
        """
        done = self.state.done
        for number, part in done.items():
            if not self._is_whole(number, part):
                raise self._lost(number)
        joined, rejects = self.folder / JOINED, self.folder / JOINED_REJECTS
        with atomic_path(joined) as path:
            self._format.join([self._part(number) for number in done], self.columns, path)
        with atomic_path(rejects) as path:
            concatenate([self._rejects(number) for number, part in done.items() if part.rejects], path)
        self.state.joined = True
        self._save()
        if self.state.counts()["rejects"]:
            replace(rejects, self.rejects)
        else:
            self.rejects.unlink(missing_ok=True)
        replace(joined, self.target)
        self._remove()
        self._unlock()

    def close(self) -> None:
        """Lets go of the output, without completing it."""
        if self.folder.is_dir() and not self._known():
            self._remove()
        self._unlock()

    def _clear(self) -> None:
        """Removes everything but the state, which is what a later run believes."""
        for file in self.folder.iterdir():
            if file.name != STATE:
                file.unlink(missing_ok=True)

    def _remove(self) -> None:
        """Removes the folder, so that a kill in between leaves nothing that a later run would take for parts."""
        old = temporary_name(self.folder)
        replace(self.folder, old)
        shutil.rmtree(old, ignore_errors=True)

    def _unlock(self) -> None:
        with contextlib.suppress(OSError):  # Windows removes no open file
            Path(self._lock.lock_file).unlink()
        self._lock.release()
