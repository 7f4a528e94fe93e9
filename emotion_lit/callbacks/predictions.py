"""Streams predictions to a file, in the order of the input."""

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

import lightning.pytorch as pl

from emotion_lit.console import say
from emotion_lit.errors import UserError
from emotion_lit.model.classifier import EmotionClassifier

Row = dict[str, Any]
# Beyond this, digits of a probability are noise of the arithmetic.
DIGITS = 6


class RowWriter(Protocol):
    """Writes rows of one format."""

    def write(self, rows: Sequence[Row]) -> None:
        """Writes rows, in order."""

    def close(self) -> None:
        """Completes the file."""


class CsvWriter:
    """Writes CSV with a heading.

    Args:
        file: Where to.
        columns: The columns, in order.
    """

    def __init__(self, file: TextIO, columns: Sequence[str]) -> None:
        self._file = file
        self._writer = csv.DictWriter(file, columns, lineterminator="\n")
        self._writer.writeheader()

    def write(self, rows: Sequence[Row]) -> None:
        """Writes rows, in order."""
        for row in rows:
            labels = {"labels": "|".join(row["labels"])} if "labels" in row else {}
            self._writer.writerow({**row, **labels})

    def close(self) -> None:
        """Completes the file."""
        self._file.close()


class JsonlWriter:
    """Writes an object a line.

    Args:
        file: Where to.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, rows: Sequence[Row]) -> None:
        """Writes rows, in order."""
        self._file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        self._file.flush()

    def close(self) -> None:
        """Completes the file."""
        if self._file is not sys.stdout:
            self._file.close()


class ParquetWriter:
    """Writes Parquet.

    Args:
        path: Where to.
        columns: The columns, in order.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = {"id": pa.string(), "text": pa.string(), "label": pa.string(), "labels": pa.list_(pa.string())}
        self._schema = pa.schema([(column, kinds.get(column, pa.float32())) for column in columns])
        self._writer = pq.ParquetWriter(path, self._schema)
        self._table = pa.Table

    def write(self, rows: Sequence[Row]) -> None:
        """Writes rows, in order."""
        plain = [{**row, "id": str(row["id"]), "label": row["label"] or None} for row in rows]
        self._writer.write_table(self._table.from_pylist(plain, schema=self._schema))

    def close(self) -> None:
        """Completes the file."""
        self._writer.close()


class PredictionWriter(pl.Callback):
    """Writes a row per text: `id`, `text`, `label`, `score`, and a probability `p_<label>` per class.

    Args:
        path: A `.csv`, `.jsonl` or `.parquet` file, or - for JSON lines on stdout.
    """

    def __init__(self, path: str = "-") -> None:
        self.path = path
        self._part = Path(path).with_name(f".{Path(path).name}.part")
        self._writer: RowWriter | None = None
        self._pending: dict[int, Row] = {}
        self._written = 0
        self._unlabelled: list[int] = []

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Opens the output, so that a path that cannot be written is found before the work starts.

        Raises:
            UserError: It cannot be written, or its suffix is not known.
        """
        if stage != "predict" or not trainer.is_global_zero:
            return
        assert isinstance(pl_module, EmotionClassifier)
        columns = ["id", "text", "label", "score", *(["labels"] if pl_module.multi_label else [])]
        self._writer = self._open([*columns, *(f"p_{label}" for label in pl_module.labels)])

    def _open(self, columns: Sequence[str]) -> RowWriter:
        if self.path == "-":
            return JsonlWriter(sys.stdout)
        suffix = Path(self.path).suffix
        if suffix not in {".csv", ".jsonl", ".parquet"}:
            raise UserError(f"prediction.path {self.path} should end in .csv, .jsonl or .parquet, or be - for stdout")
        try:
            self._part.parent.mkdir(parents=True, exist_ok=True)
            if Path(self.path).is_dir():
                raise IsADirectoryError(f"{self.path} is a folder")
            if suffix == ".parquet":
                return ParquetWriter(self._part, columns)
            file = self._part.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise UserError(f"prediction.path {self.path} cannot be written: {error.strerror or error}") from error
        return CsvWriter(file, columns) if suffix == ".csv" else JsonlWriter(file)

    def on_predict_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Writes the rows that are next in order; batches come by length, so some wait for others."""
        assert isinstance(pl_module, EmotionClassifier)
        if self._writer is None:
            return
        probabilities = outputs.float().tolist() or [None] * len(batch["row"])
        for row, identity, text, scores in zip(batch["row"], batch["id"], batch["text"], probabilities, strict=True):
            self._pending[row] = prediction_row(pl_module, identity, text, scores)
            if scores is None:
                self._unlabelled.append(row)
        ready: list[Row] = []
        while self._written + len(ready) in self._pending:
            ready.append(self._pending.pop(self._written + len(ready)))
        self._writer.write(ready)
        self._written += len(ready)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Puts the complete file under its name."""
        if self._writer is None:
            return
        self._writer.close()
        self._writer = None
        if self.path != "-":
            self._part.replace(self.path)
        say(f"{self._written:,} rows written to {'stdout' if self.path == '-' else self.path}")
        if self._unlabelled:
            say(
                f"warning: {len(self._unlabelled):,} of them have no label, because their text is null, empty or not a "
                f"string; the first is row {min(self._unlabelled) + 1}"
            )

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Keeps what was written."""
        if self._writer is not None:
            self._writer.close()
            if self.path != "-" and not self._written:
                self._part.unlink(missing_ok=True)
            elif self.path != "-":
                say(f"{self._written:,} rows were labelled before the error; they are in {self._part}")


def prediction_row(model: EmotionClassifier, identity: Any, text: Any, scores: Sequence[float] | None) -> Row:
    """A row of the output.

    Args:
        model: Whose labels and threshold to use.
        identity: The row's id.
        text: Its text.
        scores: A probability per class; None for a row without a text, whose label stays empty.
    """
    row: Row = {"id": identity, "text": text if isinstance(text, str) or text is None else str(text)}
    if scores is None:
        blank: Row = {"label": "", "score": None, **({"labels": []} if model.multi_label else {})}
        return {**row, **blank, **{f"p_{label}": None for label in model.labels}}
    best = max(range(len(scores)), key=scores.__getitem__)
    row |= {"label": model.labels[best], "score": round(scores[best], DIGITS)}
    if model.multi_label:
        row["labels"] = model.threshold_labels(scores)
    return row | {f"p_{label}": round(score, DIGITS) for label, score in zip(model.labels, scores, strict=True)}
