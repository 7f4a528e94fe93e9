"""An output that grows in parts in a hidden folder, so that a killed run loses nothing and leaves no partial file."""

import contextlib
import errno
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from filelock import FileLock, Timeout

from emotion_lit.data.windows import Window
from emotion_lit.errors import UserError
from emotion_lit.inference.output_columns import unlabeled_rows
from emotion_lit.inference.output_paths import rejects_file
from emotion_lit.inference.output_state import VERSION, State
from emotion_lit.inference.part_files import Part, PartFiles
from emotion_lit.inference.shard import Shard
from emotion_lit.inference.shard_files import describe
from emotion_lit.inference.writers import FORMATS, Format, concatenate
from emotion_lit.utils.console import say
from emotion_lit.utils.files import atomic_path, replace, sweep, temporary_name, why_not_writable

STATE = "state.json"
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
JOINED, JOINED_REJECTS = "joined", "joined.rejects"


class Parts:
    """The parts of an output, in a folder next to it.

    Several processes may add parts; the first one does everything else.

    Args:
        target: The output.
        empty: A table with its columns and no rows.
        form: The format; by default that of the output's suffix.
        shard: The shard that the output is, if it is one.
        state: How far the output is, if another process has opened it.
    """

    def __init__(
        self,
        target: Path,
        empty: pa.Table,
        form: Format | None = None,
        shard: Shard | None = None,
        state: State | None = None,
    ) -> None:
        self.target = target
        self.shard = shard
        self.rejects = rejects_file(target)
        self.folder = target.with_name(f".{target.name}.parts")
        self.state = state or State({})
        self._files = PartFiles(self.folder, target.suffix)
        self._empty = empty
        self._format = form or FORMATS[target.suffix]
        self._lock = FileLock(target.with_name(f".{target.name}.lock"), timeout=0)

    def open(self, made_from: dict[str, Any], overwrite: bool) -> State:
        """Starts an output, or resumes one where an earlier run stopped.

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
        except (OSError, NotImplementedError) as error:  # FileLock's, if the file system has no locks
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
            differs = [VERSION] if VERSION in differs else differs
            raise UserError(
                f"{self.rows_kept():,} rows of {self.target} are kept from an interrupted run, but since then "
                f"{' and '.join(differs)} changed; change it back to resume, or start over with "
                "--prediction.overwrite true"
            )
        for file in (self.target, self.rejects):
            if file.exists() and not overwrite:
                raise UserError(
                    f"{file} already exists; give another --prediction.path, or --prediction.overwrite true"
                )
        return None

    def _read_state(self, overwrite: bool) -> State | None:
        try:
            return State.read(self.folder / STATE)
        except UserError:
            if overwrite:
                return None
            raise

    def _save(self) -> None:
        self.state.save(self.folder / STATE)

    def remember_engine(self, engine: str) -> None:
        """Stores the engine, with which a later run has to resume; other engines differ in the last digits."""
        self.state.engine = engine
        self._save()

    def _keep_whole(self) -> None:
        """Counts the parts that are as their sidecars say, and forgets the others."""
        for number, part in self._known().items():
            if part and self._files.is_whole(number, part):
                self.state.done[number] = part
            else:
                self._files.forget(number)
                say(f"part {number} of {self.target} is damaged; computing it again")

    def _known(self) -> dict[int, Part | None]:
        return self._files.known(self.state.made_from)

    def has_all(self, windows: Sequence[int]) -> bool:
        """Whether each of these windows has its part, of all processes."""
        known = self._known()
        return all(known.get(number) for number in windows)

    def rows_kept(self) -> int:
        """The number of finished rows of all processes, after which a later run can resume."""
        return sum(part.rows for part in self._known().values() if part)

    def add(self, window: Window, table: pa.Table) -> None:
        """Keeps the rows of a window.

        Args:
            window: The window.
            table: Its predictions, as `TableBuilder` builds them.
        """
        unlabeled = unlabeled_rows(table)
        first = int(window.rows[unlabeled[0]]) + 1 if len(unlabeled) else None
        self.state.done[window.number] = self._files.write(
            window.number,
            lambda path: self._format.write(table, path),
            window.rejects,
            (len(window), len(window.rejects), len(unlabeled), first),
            window.digest,
            self.state.made_from,
        )

    def report_failure(self) -> None:
        """Tells the other processes of this run that this one has failed."""
        with contextlib.suppress(OSError):
            self._failure().touch()

    def has_failed(self) -> bool:
        """Whether a process of this run has failed."""
        return self._failure().exists()

    def _failure(self) -> Path:
        return self.folder / f"failed-{self.state.run}"

    def collect(self, digests: Mapping[int, str]) -> None:
        """Finds the parts of all processes.

        Args:
            digests: The hash of the input up to the end of each window of the output.

        Raises:
            UserError: A part is missing, or was made from something else.
        """
        known = self._known()
        self.state.done = {}
        for number, digest in digests.items():
            part = known.get(number)
            if part is None or part.digest != digest:
                raise self._lost(number)
            self.state.done[number] = part

    def _lost(self, number: int) -> UserError:
        self._files.forget(number)
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
            if not self._files.is_whole(number, part):
                raise self._lost(number)
        joined, rejects = self.folder / JOINED, self.folder / JOINED_REJECTS
        with atomic_path(joined) as path:
            self._format.join([self._files.rows(number) for number in done], self._empty, path)
        with atomic_path(rejects) as path:
            concatenate([self._files.rejects(number) for number, part in done.items() if part.rejects], path)
        if self.shard:
            files = {number: self._files.rows(number) for number in done}
            describe(self.shard, self.state, self._empty.column_names, files, joined, rejects).save(self.target)
        self.state.joined = True
        self._save()
        if self.state.counts().rejects:
            replace(rejects, self.rejects)
        else:
            self.rejects.unlink(missing_ok=True)
        replace(joined, self.target)
        self._remove()
        self._unlock()

    def close(self) -> None:
        """Closes the output without completing it; the parts are kept."""
        if self.folder.is_dir() and not self._known():
            self._remove()
        self._unlock()

    def _clear(self) -> None:
        """Removes everything but the state, which a later run relies on."""
        for file in self.folder.iterdir():
            if file.name != STATE:
                file.unlink(missing_ok=True)

    def _remove(self) -> None:
        """Removes the folder in one step, so that a kill leaves no parts that a later run would find."""
        old = temporary_name(self.folder)
        replace(self.folder, old)
        shutil.rmtree(old, ignore_errors=True)

    def _unlock(self) -> None:
        with contextlib.suppress(OSError):  # Windows removes no open file
            Path(self._lock.lock_file).unlink()
        self._lock.release()
