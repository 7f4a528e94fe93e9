"""Prints and keeps the evaluation of `validate` and `test`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl

from emotion_lit.errors import UserError
from emotion_lit.evaluation.collector import PredictionCollector
from emotion_lit.model.checkpoint import find_checkpoint, run_folder
from emotion_lit.training.callbacks.context import data_of, model_of
from emotion_lit.training.callbacks.run_summary import print_warnings
from emotion_lit.training.datamodule import LIMITS
from emotion_lit.utils.console import say, show
from emotion_lit.utils.console_tables import table
from emotion_lit.utils.files import write_text
from emotion_lit.utils.paths import expanded

if TYPE_CHECKING:
    from emotion_lit.evaluation.prediction_table import PredictionTable


class Evaluation(pl.Callback):
    """Prints the metrics of `validate` and `test`, and keeps them with the predictions of each row.

    Args:
        path: A `.json` file for the metrics. The predictions of each row go next to it, as `.parquet`. By default
            evaluation.json in the run folder of the checkpoint, or next to a checkpoint outside of a run folder.
    """

    def __init__(self, path: str | None = None) -> None:
        if path and not path.endswith(".json"):
            raise UserError(f"evaluation.path is {path}; it should end in .json")
        self.path = expanded(path)
        self._active = False
        self._collected = PredictionCollector()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Does nothing in `fit`, which has its report.

        Raises:
            UserError: Another file would be overwritten.
        """
        self._active = stage in ("validate", "test")
        if self._active and self.path and trainer.is_global_zero:
            _check_replaceable(Path(self.path))

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Collects the probabilities of a batch."""
        if self._active:
            self._collected.add(outputs, batch)

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Collects the probabilities of a batch."""
        if self._active:
            self._collected.add(outputs, batch)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prints and keeps the evaluation."""
        self._finish(trainer, pl_module, "validation")

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prints and keeps the evaluation."""
        self._finish(trainer, pl_module, "test")

    def _finish(self, trainer: pl.Trainer, pl_module: pl.LightningModule, split: str) -> None:
        if not self._active:
            return
        # Imported here, because `predict` has this callback too and needs none of it.
        from emotion_lit.evaluation.prediction_table import AFTER, PredictionTable
        from emotion_lit.evaluation.summary import summarize
        from emotion_lit.reporting.score_tables import class_rows, headline_rows, shortened, source_rows

        collected = self._collected.gathered()
        if not trainer.is_global_zero:
            return
        model, data = model_of(self, pl_module), data_of(self, trainer)
        temperature = model.settings.temperature or 1.0
        predictions = collected.predictions(model.multi_label, list(model.decision.thresholds))
        rows, all_rows = data.rows(split).take(collected.rows), len(data.rows(split))
        kept = PredictionTable.from_predictions(predictions, rows.texts, rows.sources, model.labels, temperature)
        if len(rows) < all_rows:
            say(f"{len(rows):,} of {all_rows:,} rows of {split}, spread over all lengths (trainer.{LIMITS[split]})")
        summary = summarize(kept, temperature, {})
        columns = {split: summary[AFTER]}
        show(table(headline_rows(columns)) + "\n\n" + table(shortened(class_rows(columns), "in the evaluation")))
        if summary[AFTER]["per_source"]:
            show("\n" + table(source_rows(columns)))
        print_warnings(data)
        file = Path(self.path) if self.path else _default_path(str(trainer.ckpt_path))
        _save({"split": split, "data": data.describe(), **summary}, kept, file)


def _check_replaceable(file: Path) -> None:
    """Checks that metrics, and the predictions next to them, replace no files but those of an earlier evaluation."""
    for one in (file, file.with_suffix(".parquet")):
        if one.exists() and not _is_evaluation(file):
            raise UserError(f"{one} already exists, and no evaluation wrote it; give another --evaluation.path")


def _is_evaluation(file: Path) -> bool:
    try:
        return "split" in json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def _save(evaluation: dict[str, Any], predictions: "PredictionTable", file: Path) -> None:
    from emotion_lit.reporting.report_keys import with_earlier_keys

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        predictions.save(file.with_suffix(".parquet"))
        write_text(file, json.dumps(with_earlier_keys(evaluation), indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        say(f"{file} cannot be written ({error.strerror}); give another place with --evaluation.path")
        return
    say(f"\nevaluation   {file}\npredictions  {file.with_suffix('.parquet')}")


def _default_path(checkpoint: str) -> Path:
    file = find_checkpoint(checkpoint)
    return (run_folder(file) or file.parent) / "evaluation.json"
