"""BatchPredictor: columns in, columns out, for frameworks that call a function with a batch of rows."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from emotion_lit.cluster.window_probabilities import Texts, probabilities_of
from emotion_lit.data.packing import Packing
from emotion_lit.data.padding import Padding
from emotion_lit.data.streaming import WINDOW
from emotion_lit.data.window_batches import WindowBatches
from emotion_lit.errors import UserError, unknown
from emotion_lit.inference.loading import load
from emotion_lit.inference.output_columns import TEXT, TableBuilder

if TYPE_CHECKING:
    from emotion_lit.inference.predictor import Predictor

# The models of this process by what they were loaded from; each is loaded once.
_models: dict[tuple[Any, ...], "Predictor"] = {}
_lock = threading.RLock()


class BatchPredictor:
    """Labels a column of texts in batches of rows, in Ray Data, Spark, Dask, pandas, or any other framework.

    It is pickled as a path and settings. The model is loaded on the first call, once in each process, and calls from
    several threads take turns.

    Args:
        path: A checkpoint, a run folder, an export, or a Hub id, as `load` takes it, to be found by each process.
        column: The column of texts. Empty texts, None and NaN get no label.
        prefix: A prefix for the names of the new columns, such as ``pred_``.
        top_k: The number of most probable classes that get columns; the second has ``label_2`` and ``score_2``.
        threshold: A probability below which the label is ``uncertain``.
        probabilities: Whether each class gets a column ``p_<label>``.
        backbone: Where the base model of a `head` or `lora` checkpoint is, if not where it was.
        device: A torch device; by default a GPU if there is one.

    Raises:
        UserError: A setting is out of range.
    """

    def __init__(
        self,
        path: str | Path,
        column: str = TEXT,
        prefix: str = "",
        top_k: int = 1,
        threshold: float = 0.0,
        probabilities: bool = True,
        backbone: str | None = None,
        device: str | None = None,
    ) -> None:
        for name, value in (("column", column), ("prefix", prefix)):
            if not isinstance(value, str):
                raise UserError(f"{name} is {value!r}; it should be a word")
        if not isinstance(probabilities, bool | np.bool_):
            raise UserError(f"probabilities is {probabilities!r}; it should be True or False")
        if top_k < 1:
            raise UserError(f"top_k is {top_k}; it should be at least 1")
        if not 0 <= threshold <= 1:
            raise UserError(f"threshold is {threshold}; it should be from 0 to 1")
        self.path = str(path)
        self.column = column
        self.prefix = prefix
        self.top_k = top_k
        self.threshold = threshold
        self.probabilities = probabilities
        self.backbone = backbone
        self.device = device

    @property
    def model(self) -> "Predictor":
        """The model; it is loaded on first use.

        Raises:
            UserError: It cannot be loaded.
        """
        key = (self.path, _changed(Path(self.path)), self.backbone, self.device)
        with _lock:
            if key not in _models:
                _models[key] = load(self.path, self.backbone, self.device)
            return _models[key]

    @property
    def columns(self) -> list[str]:
        """The names of the new columns: ``label``, ``score``, and so on, as `predict` writes them, and ``note``."""
        return [f"{self.prefix}{name}" for name in self._builder(self.model).columns]

    def __call__(self, batch: Any) -> Any:
        """Labels a batch.

        Args:
            batch: A dict of columns (arrays of numpy or Arrow, or lists, each ``[rows]``), an Arrow table, or a data
                frame of pandas.

        Returns:
            The batch, of the same kind, with the new columns; a dict has arrays of numpy. A row without a text has an
            empty label, a score that is null (NaN in numpy and pandas), and a note.

        Raises:
            UserError: It is something else, has no such column, or has one that would be overwritten.
        """
        with _lock:
            names, texts = _read(batch, self.column)
            labeled = self._labeled(texts)
        taken = [name for name in labeled if name in names]
        if taken:
            raise UserError(
                f"the batch has a column {taken[0]!r} already, which would be overwritten; give the new ones another "
                'name with BatchPredictor(..., prefix="pred_")'
            )
        return _with_columns(batch, labeled)

    def _labeled(self, texts: list[Any]) -> dict[str, pa.ChunkedArray]:
        model = self.model
        builder, classes = self._builder(model), len(model.labels)
        packing = Packing(model.budget, Padding.of(model.tokenizer))
        batches = WindowBatches(model.tokenizer, model.max_length, packing)
        windows = [Texts(texts[start : start + WINDOW]) for start in range(0, len(texts), WINDOW)] or [Texts([])]
        parts = [probabilities_of(window, TEXT, batches, model.compute, classes) for window in windows]
        whole = pa.concat_tables([pa.table(builder.columns_of(*part)) for part in parts])
        return {f"{self.prefix}{name}": whole.column(name) for name in whole.column_names}

    def _builder(self, model: "Predictor") -> TableBuilder:
        return TableBuilder(model.decision, self.top_k, self.threshold, self.probabilities)


def _changed(path: Path) -> int:
    """When a model on this machine was last written, so that another one under the same path is loaded."""
    files = [path, *(path / name for name in ("best.ckpt", "checkpoints/best.ckpt", "labels.json"))]
    return max((file.stat().st_mtime_ns for file in files if file.is_file()), default=0)


def _read(batch: Any, column: str) -> tuple[list[str], list[Any]]:
    """The names of the columns, and the values of the column of texts."""
    if isinstance(batch, pa.Table | pa.RecordBatch):
        names = list(batch.schema.names)
    elif isinstance(batch, Mapping) or hasattr(batch, "iloc"):
        names = list(batch)
    else:
        raise UserError(
            "BatchPredictor labels a dict of columns, an Arrow table or a data frame of pandas, not "
            f"{type(batch).__name__}; for texts alone use emotion_lit.load"
        )
    if column not in names:
        raise unknown("column", column, map(str, names))
    if isinstance(batch, Mapping) and len({len(values) for values in batch.values()}) > 1:
        lengths = ", ".join(f"{name!r} {len(values):,}" for name, values in batch.items())
        raise UserError(f"the columns of a batch have as many rows as each other, and these have {lengths}")
    values = batch.column(column) if isinstance(batch, pa.Table | pa.RecordBatch) else batch[column]
    convert = getattr(values, "to_pylist", None) or getattr(values, "tolist", None)
    return names, convert() if convert else list(values)


def _with_columns(batch: Any, columns: Mapping[str, pa.ChunkedArray]) -> Any:
    """The batch with more columns."""
    if isinstance(batch, pa.Table | pa.RecordBatch):
        table = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
        for name, values in columns.items():
            table = table.append_column(name, values)
        return table
    arrays = {name: values.to_numpy() for name, values in columns.items()}
    if isinstance(batch, Mapping):
        return {**{name: _numpy(values) for name, values in batch.items()}, **arrays}
    return batch.assign(**arrays)


def _numpy(values: Any) -> npt.NDArray[Any]:
    if isinstance(values, pa.Array):
        values = values.to_numpy(zero_copy_only=False)
    elif isinstance(values, pa.ChunkedArray):
        values = values.to_numpy()
    return values if isinstance(values, np.ndarray) else np.array(values, dtype=object)
