"""A folder of Parquet parts, each named by its rows, with a sidecar that is written last.

What has no sidecar, or does not agree with it, is labeled again.
"""

import base64
import contextlib
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from emotion_lit.cluster.plan import Span
from emotion_lit.cluster.storage import OutputFolder
from emotion_lit.data.formats.blocks import Reject
from emotion_lit.data.plain_values import plain, to_json
from emotion_lit.errors import UserError
from emotion_lit.inference.output_columns import unlabeled_rows
from emotion_lit.inference.output_state import Counts
from emotion_lit.inference.writers import as_type, common_field, parquet_table

# Readers of data sets leave out names that begin with an underscore.
SIDECARS = "_parts"
STATE = f"{SIDECARS}/state.json"
REJECTS, LOCK = "_rejects.jsonl", "_lock"
ROW = "row"


@dataclass(frozen=True)
class PartContent:
    """What the sidecar of a part tells.

    Args:
        rows: The number of rows.
        rejects: The number of rows that could not be read.
        unlabeled: The number of rows without a label.
        first_unlabeled: The first of these, counted from one; zero where there is none.
        size: The bytes of the part.
        sha256: Its hash.
        schema: The types of its columns, as Arrow's IPC in base64.
    """

    rows: int
    rejects: int
    unlabeled: int
    first_unlabeled: int
    size: int
    sha256: str
    schema: str

    @property
    def arrow_schema(self) -> pa.Schema:
        """The types of its columns."""
        return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(self.schema)))


@contextlib.contextmanager
def locked(folder: OutputFolder) -> Iterator[None]:
    """Keeps a second run out of a folder; not at an address, where parts would only be written twice.

    Args:
        folder: The folder.

    Raises:
        UserError: Another run has it.
    """
    if not folder.is_local:
        yield
        return
    lock = FileLock(folder.path(LOCK), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"another run is writing {folder.address}; wait for it, or give another --prediction.path"
        ) from None
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


@dataclass
class PartFolder:
    """A folder of parts. The driver opens and completes it; actors write parts.

    Args:
        folder: The folder.
        made_from: What decides the content; a part that was made from something else is not valid.
    """

    folder: OutputFolder
    made_from: dict[str, Any]
    engine: str | None = None

    def open(self, overwrite: bool) -> None:
        """Starts an output, or goes on with that of an earlier run.

        Args:
            overwrite: Whether the parts of another run may be removed.

        Raises:
            UserError: There are files already that this run may not touch.
        """
        self.made_from = json.loads(json.dumps(self.made_from))
        state = self._state()
        if state is None or state["made_from"] != self.made_from:
            files = [
                *(name for name in self.folder.sizes() if name != LOCK),
                *(f"{SIDECARS}/{name}" for name in self.folder.sizes(SIDECARS)),
            ]
            if files and not overwrite:
                raise self._occupied(state, files)
            self.folder.remove([name for name in files if name.startswith(("part-", SIDECARS)) or name == REJECTS])
            state = {}
        self.engine = state.get("engine")
        self._save()

    def _state(self) -> dict[str, Any] | None:
        content = self.folder.read(STATE)
        try:
            state = json.loads(content) if content else None
            return state if state is None or isinstance(state["made_from"], dict) else None
        except (ValueError, TypeError, KeyError):
            return None

    def _occupied(self, state: Mapping[str, Any] | None, files: list[str]) -> UserError:
        if state is None:
            return UserError(
                f"{self.folder.address} holds files that are not parts of this command, such as {files[0]}; give "
                "another --prediction.path"
            )
        differs = [key for key in self.made_from if state["made_from"].get(key) != self.made_from[key]]
        return UserError(
            f"{self.folder.address} has parts of an earlier run, and {' and '.join(differs)} changed since then; "
            "change it back to go on, give another --prediction.path, or start over with --prediction.overwrite true"
        )

    def _save(self) -> None:
        self.folder.write(STATE, json.dumps({"made_from": self.made_from, "engine": self.engine}).encode())

    def remember_engine(self, engine: str) -> None:
        """Stores the engine, with which a later run goes on; other engines differ in the last digits.

        Args:
            engine: Its name.
        """
        self.engine = engine
        self._save()

    def write(self, span: Span, table: pa.Table, rejects: Iterable[Reject]) -> PartContent:
        """Writes a part, and then its sidecar.

        Args:
            span: Its rows.
            table: The predictions, as `TableBuilder` builds them, and the column `row`.
            rejects: The rows that could not be read.
        """
        unlabeled = unlabeled_rows(table)
        first = table.column(ROW)[int(unlabeled[0])].as_py() + 1 if len(unlabeled) else 0
        rejected = [to_json(plain(asdict(one))) for one in rejects]
        if rejected:
            self.folder.write(f"{SIDECARS}/{span.name}.rejects.jsonl", "".join(f"{one}\n" for one in rejected).encode())
        return self._store(span, parquet_table(table), Counts(table.num_rows, len(rejected), len(unlabeled), first))

    def _store(self, span: Span, table: pa.Table, counts: Counts) -> PartContent:
        sink = io.BytesIO()
        pq.write_table(table, sink)
        content = sink.getvalue()
        schema = base64.b64encode(table.schema.serialize()).decode()
        numbers = (counts.rows, counts.rejects, counts.unlabeled, counts.first_unlabeled)
        part = PartContent(*numbers, len(content), hashlib.sha256(content).hexdigest(), schema)
        self.folder.write(span.name, content)
        sidecar = {**asdict(part), "check": self._check(span, part)}
        self.folder.write(f"{SIDECARS}/{span.name}.json", json.dumps(sidecar).encode())
        return part

    def _check(self, span: Span, part: PartContent) -> str:
        return hashlib.sha256(json.dumps([span.name, self.made_from, asdict(part)]).encode()).hexdigest()

    def whole(self, spans: Iterable[Span]) -> dict[int, PartContent]:
        """The parts that are whole, by the number of the window.

        Args:
            spans: The windows.
        """
        sizes, sidecars = self.folder.sizes(), self.folder.sizes(SIDECARS)
        found = {}
        for span in spans:
            if f"{span.name}.json" in sidecars and (part := self._read(span, sizes.get(span.name))):
                found[span.number] = part
        return found

    def _read(self, span: Span, size: int | None) -> PartContent | None:
        try:
            fields = json.loads(self.folder.read(f"{SIDECARS}/{span.name}.json") or b"")
            check = fields.pop("check")
            part = PartContent(**fields)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        if check != self._check(span, part) or size != part.size:
            return None
        if self.folder.is_local:  # of an address, only the size is compared: it has whole files or none
            content = self.folder.read(span.name)
            return part if content and hashlib.sha256(content).hexdigest() == part.sha256 else None
        return part

    def complete(self, spans: Iterable[Span]) -> Counts:
        """Gives all parts the same types, and collects the rows that could not be read.

        Args:
            spans: All windows.

        Returns:
            The numbers of rows.

        Raises:
            UserError: A part has been damaged since it was written.
        """
        spans = list(spans)
        parts = self.whole(spans)
        lost = next((span for span in spans if span.number not in parts), None)
        if lost is not None:
            raise UserError(
                f"{lost.name} of {self.folder.address} is damaged; run the same command again, which computes it once "
                "more"
            )
        self._unify(spans, parts)
        rejected = [span for span in spans if parts[span.number].rejects]
        if rejected:
            lines = (self.folder.read(f"{SIDECARS}/{span.name}.rejects.jsonl") or b"" for span in rejected)
            self.folder.write(REJECTS, b"".join(lines))
        else:
            self.folder.remove([REJECTS])
        return sum((_counts(part) for part in parts.values()), Counts())

    def _unify(self, spans: Iterable[Span], parts: Mapping[int, PartContent]) -> None:
        """Writes parts again whose columns have other types than in all parts together, as rows of JSON may."""
        schemas = {part.schema: part.arrow_schema for part in parts.values()}
        if len(schemas) < 2:
            return
        names = next(iter(schemas.values())).names
        common = pa.schema([common_field(name, list(schemas.values())) for name in names])
        for span in spans:
            part = parts[span.number]
            if not part.arrow_schema.equals(common):
                table = pq.read_table(io.BytesIO(self.folder.read(span.name) or b""))
                cast = [as_type(table[name], common.field(name).type) for name in names]
                self._store(span, pa.table(cast, schema=common), _counts(part))


def _counts(part: PartContent) -> Counts:
    return Counts(part.rows, part.rejects, part.unlabeled, part.first_unlabeled)


def check_address(path: str) -> str:
    """The address of the output folder.

    Args:
        path: ``prediction.path``.

    Raises:
        UserError: It is standard output, a file, or a format that has no folders of parts.
    """
    if path == "-":
        raise UserError("prediction.cluster writes a folder of Parquet parts; give it as --prediction.path")
    if Path(path).suffix in (".csv", ".jsonl"):
        raise UserError(
            f"prediction.cluster writes a folder of Parquet parts, not {path}; give a folder as --prediction.path"
        )
    if "://" not in path and Path(path).is_file():
        raise UserError(f"{path} is a file, and prediction.cluster writes a folder; give another --prediction.path")
    return path if "://" in path else str(Path(path).absolute())
