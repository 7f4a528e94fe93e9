"""What a model says about a split: for the report before and after training, and for `validate` and `test`."""

import json
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor

from emotion_lit.errors import UserError
from emotion_lit.evaluation.calibration import tempered
from emotion_lit.evaluation.prediction_table import AFTER, UNCALIBRATED, Evidence
from emotion_lit.evaluation.predictions import Floats, Outputs
from emotion_lit.evaluation.summary import judge
from emotion_lit.model.checkpoint import find_checkpoint, run_folder
from emotion_lit.reporting.tables import class_rows, headline_rows, some, source_rows
from emotion_lit.training.callbacks.context import data_of, model_of
from emotion_lit.training.callbacks.run_summary import say_warnings
from emotion_lit.training.datamodule import LIMITS, EmotionDataModule
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.utils import distributed
from emotion_lit.utils.console import progress_bar, say, show
from emotion_lit.utils.console_tables import table
from emotion_lit.utils.files import write_text
from emotion_lit.utils.memory import return_freed_memory
from emotion_lit.utils.paths import expanded


def collect(
    trainer: pl.Trainer, model: EmotionClassifier, data: EmotionDataModule, split: str, title: str
) -> "Collected":
    """Runs a model over a split, outside of Lightning's loops; all processes share the work, and get all of it.

    Args:
        trainer: Whose device and precision to use.
        model: The model.
        data: The data, prepared.
        split: ``validation`` or ``test``.
        title: What the progress bar is called.
    """
    collected = Collected()
    was_training = model.training
    model.eval()
    rows = len(data.rows(split))
    with torch.inference_mode(), progress_bar(title, rows, enabled=trainer.is_global_zero) as bar:
        for batch in data.evaluation_dataloader(split, whole=True):
            on_device = trainer.strategy.batch_to_device(batch)
            with trainer.precision_plugin.val_step_context():
                probabilities = model.probabilities(model(on_device))
            collected.add(probabilities, batch)
            bar.update(min(len(batch["row"]) * trainer.world_size, rows - bar.n))
    model.train(was_training)
    return_freed_memory()  # what comes next needs other sizes
    return collected.of_all()


class Collected:
    """Probabilities of a split's rows, batch by batch."""

    def __init__(self) -> None:
        self._parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    def add(self, probabilities: Tensor, batch: dict[str, Any]) -> None:
        """Adds a batch.

        Args:
            probabilities: ``[batch, classes]``.
            batch: The batch that they are for.

        Raises:
            UserError: It is none of ours.
        """
        if not {"targets", "label", "row"} <= set(batch):
            raise UserError("the rows of these batches are not known; give the Trainer EmotionDataModule as datamodule")
        kept = (probabilities.float(), batch["targets"].float(), batch["label"], batch["row"])
        self._parts.append(tuple(tensor.cpu() for tensor in kept))  # type: ignore[arg-type]

    def of_all(self) -> "Collected":
        """What all processes have collected, on each of them."""
        whole = Collected()
        whole._parts = [part for parts in distributed.all_gather(self._parts) for part in parts]
        return whole

    @property
    def rows(self) -> list[int]:
        """Which rows these are, in order; not all of a split where the Trainer was told to stop early."""
        return sorted({row for *_, rows in self._parts for row in rows.tolist()})

    def outputs(self, model: EmotionClassifier) -> Outputs:
        """What was collected, in the order of the rows.

        Args:
            model: The model.
        """
        probabilities, targets, first, rows = (torch.cat(parts).numpy() for parts in zip(*self._parts, strict=True))
        order = np.unique(rows, return_index=True)[1]  # fewer rows than processes, and each has all of them
        thresholds = list(model.decision.thresholds)
        return Outputs.checked(probabilities[order], targets[order], first[order], model.multi_label, thresholds)


def evidence_of(
    collected: Collected,
    model: EmotionClassifier,
    data: EmotionDataModule,
    split: str,
    others: dict[str, Floats] | None = None,
    overlaps: list[str] | None = None,
) -> Evidence:
    """The rows of a split and what was said about them.

    Args:
        collected: What the model said, with its temperature.
        model: The model.
        data: The data.
        split: The split.
        others: What other models said, by name, ``[rows, classes]``.
        overlaps: Whether each text also stands in train, where that was looked for.
    """
    outputs, rows = collected.outputs(model), data.rows(split).take(collected.rows)
    plain = tempered(outputs.measured, 1 / (model.settings.temperature or 1.0), model.multi_label)
    return Evidence(
        rows.texts,
        rows.sources,
        overlaps,
        model.labels,
        model.multi_label,
        list(model.decision.thresholds),
        outputs.first,
        outputs.targets,
        {**(others or {}), UNCALIBRATED: plain, AFTER: outputs.measured},
    )


class Evaluation(pl.Callback):
    """Prints the evaluation when `validate` or `test` is done, and keeps it.

    Args:
        path: A `.json` file for the evaluation; the rows go beside it as `.parquet`. By default evaluation.json in the
            folder of the run that the checkpoint is of, or beside a checkpoint that was carried elsewhere.
    """

    def __init__(self, path: str | None = None) -> None:
        if path and not path.endswith(".json"):
            raise UserError(f"evaluation.path is {path}; it should end in .json")
        self.path = expanded(path)
        self._active = False
        self._collected = Collected()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leaves `fit` to its report."""
        self._active = stage in ("validate", "test")

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Keeps the probabilities of a step."""
        if self._active:
            self._collected.add(outputs, batch)

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Keeps the probabilities of a step."""
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
        collected = self._collected.of_all()
        if not trainer.is_global_zero:
            return
        model, data = model_of(self, pl_module), data_of(self, trainer)
        evidence = evidence_of(collected, model, data, split)
        judged_rows, rows = len(evidence.texts), len(data.rows(split))
        if judged_rows < rows:
            say(f"{judged_rows:,} of {rows:,} rows of {split}, spread over all lengths (trainer.{LIMITS[split]})")
        judged = judge(evidence, model.settings.temperature or 1.0, {})
        columns = {split: judged[AFTER]}
        show(table(headline_rows(columns)) + "\n\n" + table(some(class_rows(columns), "in the evaluation")))
        if judged[AFTER]["per_source"]:
            show("\n" + table(source_rows(columns)))
        say_warnings(data)
        file = Path(self.path) if self.path else _beside(str(trainer.ckpt_path))
        _keep({"split": split, "data": data.describe(), **judged}, evidence, file)


def _keep(evaluation: dict[str, Any], evidence: Evidence, file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        evidence.save(file.with_suffix(".parquet"))
        write_text(file, json.dumps(evaluation, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        say(f"{file} cannot be written ({error.strerror}); give another place with --evaluation.path")
        return
    say(f"\nevaluation   {file}\nits rows     {file.with_suffix('.parquet')}")


def _beside(checkpoint: str) -> Path:
    file = find_checkpoint(checkpoint)
    return (run_folder(file) or file.parent) / "evaluation.json"
