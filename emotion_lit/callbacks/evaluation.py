"""The evaluation of a split: by the report before and after training, and by `validate` and `test`."""

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from emotion_lit.console import markdown_table, progress_bar, show, table
from emotion_lit.data.datamodule import EmotionDataModule
from emotion_lit.model.classifier import EmotionClassifier
from emotion_lit.model.metrics import Outputs, evaluate_outputs

Scores = dict[str, Any]
HEADLINES = (
    ("accuracy", "accuracy"),
    ("accuracy, any label", "accuracy_any"),
    ("macro-F1", "macro_f1"),
    ("micro-F1", "micro_f1"),
    ("loss", "loss"),
    ("ECE", "ece"),
)


def evaluate(trainer: pl.Trainer, model: EmotionClassifier, data: EmotionDataModule, split: str, title: str) -> Scores:
    """Scores a model on a split, outside of Lightning's loops.

    Args:
        trainer: Whose device and precision to use.
        model: The model.
        data: The data, prepared.
        split: ``validation`` or ``test``.
        title: What the progress bar is called.

    Returns:
        See `evaluate_outputs`.
    """
    loader = data.ordered_dataloader(split)
    collected = Collected()
    was_training = model.training
    model.eval()
    with torch.inference_mode(), progress_bar(title, len(data.rows(split))) as bar:
        for batch in loader:
            on_device = trainer.strategy.batch_to_device(batch)
            with trainer.precision_plugin.val_step_context():
                probabilities = model.probabilities(model(on_device))
            collected.add(probabilities, batch)
            bar.update(len(batch["row"]))
    model.train(was_training)
    return collected.scores(model, data, split)


class Collected:
    """Probabilities of a split's rows, batch by batch."""

    def __init__(self) -> None:
        self._parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    def add(self, probabilities: Tensor, batch: dict[str, Any]) -> None:
        """Adds a batch.

        Args:
            probabilities: ``[batch, classes]``.
            batch: The batch that they are for.
        """
        kept = (probabilities.float(), batch["targets"], batch["label"], batch["row"])
        self._parts.append(tuple(tensor.cpu() for tensor in kept))  # type: ignore[arg-type]

    def scores(self, model: EmotionClassifier, data: EmotionDataModule, split: str) -> Scores:
        """The evaluation of what was collected.

        Args:
            model: The model.
            data: The data.
            split: The split that the batches are of.
        """
        probabilities, targets, first, rows = (torch.cat(parts) for parts in zip(*self._parts, strict=True))
        sources = data.rows(split).sources
        outputs = Outputs(probabilities, targets, first)
        row_sources = [sources[row] for row in rows.tolist()]
        return evaluate_outputs(outputs, model.labels, model.multi_label, model.threshold, row_sources)


class EvaluationTable(pl.Callback):
    """Prints the evaluation when `validate` or `test` is done."""

    def __init__(self) -> None:
        self._collected = Collected()

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Keeps the probabilities of a step."""
        self._collected.add(outputs, batch)

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Keeps the probabilities of a step."""
        self._collected.add(outputs, batch)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prints the evaluation."""
        self._print(trainer, pl_module, "validation")

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prints the evaluation."""
        self._print(trainer, pl_module, "test")

    def _print(self, trainer: pl.Trainer, pl_module: pl.LightningModule, split: str) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(pl_module, EmotionClassifier)
        scores = self._collected.scores(pl_module, data, split)
        show(headline_table({split: scores}) + "\n\n" + class_table({split: scores}))
        if scores["per_source"]:
            show("\n" + source_table({split: scores}))


def headline_table(columns: dict[str, Scores], markdown: bool = False) -> str:
    """The scores in a few lines, a column for each evaluation.

    Args:
        columns: Evaluations by their headings.
        markdown: Whether as Markdown.
    """
    rows = [["", *columns]]
    for name, key in HEADLINES:
        if all(key in scores for scores in columns.values()):
            rows.append([name, *(f"{scores[key]:.4f}" for scores in columns.values())])
    return _render(rows, markdown)


def class_table(columns: dict[str, Scores], markdown: bool = False) -> str:
    """F1 by class, a column for each evaluation, then precision, recall and support of the last one.

    Args:
        columns: Evaluations by their headings.
        markdown: Whether as Markdown.
    """
    last = list(columns.values())[-1]["per_class"]
    rows = [["class", *(f"F1 {heading}" for heading in columns), "precision", "recall", "rows"]]
    for label, scores in last.items():
        f1 = [f"{evaluation['per_class'][label]['f1']:.3f}" for evaluation in columns.values()]
        rows.append([label, *f1, f"{scores['precision']:.3f}", f"{scores['recall']:.3f}", f"{scores['support']:,}"])
    return _render(rows, markdown)


def source_table(columns: dict[str, Scores], markdown: bool = False) -> str:
    """Accuracy and macro-F1 by source, columns for each evaluation.

    Args:
        columns: Evaluations by their headings.
        markdown: Whether as Markdown.
    """
    headings = [f"{metric} {heading}" for heading in columns for metric in ("accuracy", "macro-F1")]
    rows = [["source", *headings, "rows"]]
    for source, scores in list(columns.values())[-1]["per_source"].items():
        parts = [evaluation["per_source"][source] for evaluation in columns.values()]
        cells = [f"{part[key]:.3f}" for part in parts for key in ("accuracy", "macro_f1")]
        rows.append([source, *cells, f"{scores['support']:,}"])
    return _render(rows, markdown)


def _render(rows: list[list[str]], markdown: bool) -> str:
    return markdown_table(rows) if markdown else table(rows)
