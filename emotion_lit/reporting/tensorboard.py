"""What TensorBoard shows besides scalars: figures, precision-recall curves, errors, and embeddings."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from emotion_lit.evaluation.labeled_predictions import LabeledPredictions
from emotion_lit.utils.names import SHOWN_CLASSES, shown, shown_apart

# The title of each chart under Custom Scalars, with the tags that it shows together.
CUSTOM_SCALARS = {
    "training and validation": {
        "loss": ["Multiline", ["^train/loss_epoch$", "^val/loss$"]],
        "macro-F1": ["Multiline", ["^train/macro_f1$", "^val/macro_f1$"]],
        "accuracy": ["Multiline", ["^train/accuracy$", "^val/accuracy$"]],
    }
}


def add_precision_recall_curves(
    writer: Any, split: str, predictions: LabeledPredictions, labels: Sequence[str], step: int
) -> None:
    """Adds the precision-recall curve of each class, or of the most frequent ones of many.

    Args:
        writer: TensorBoard's SummaryWriter.
        split: The beginning of each tag, before the name of the class.
        predictions: The predictions.
        labels: The names of the classes.
        step: The step.
    """
    truth, tags = predictions.truth, shown_apart(labels)
    for index in np.argsort(-truth.sum(axis=0), kind="stable")[:SHOWN_CLASSES].tolist():
        scores = torch.from_numpy(predictions.probabilities[:, index].copy())
        writer.add_pr_curve(f"{split}/{tags[index]}", torch.from_numpy(truth[:, index].copy()), scores, step)


def add_report(writer: Any, report: dict[str, Any], drawn: Mapping[str, Figure], step: int) -> None:
    """Adds the figures of a report, and its most confident errors.

    Args:
        writer: TensorBoard's SummaryWriter.
        report: The report.
        drawn: Its figures by name.
        step: The step.
    """
    for name, figure in drawn.items():
        writer.add_figure(f"test/{name}", figure, step)
    writer.add_text("test/most confident errors", _errors(report["most_confident_errors"]), step)


def _errors(errors: Sequence[dict[str, Any]]) -> str:
    """As a block of code, because texts are not Markdown."""
    lines = [
        f"    {one['confidence']:.3f}  {shown(one['truth'])} predicted as {shown(one['prediction'])}: "
        f"{' '.join(one['text'].split())}"
        for one in errors
    ]
    return "\n".join(lines) or "none"


def add_embeddings(
    writer: Any, split: str, embeddings: Tensor, labels: Sequence[str], texts: Sequence[str], step: int
) -> None:
    """Adds embeddings of texts to the projector.

    Args:
        writer: TensorBoard's SummaryWriter.
        split: The tag.
        embeddings: ``[rows, width]``.
        labels: The label of each row.
        texts: The text of each row.
        step: The step.
    """
    writer.add_embedding(
        embeddings,
        [list(pair) for pair in zip(labels, texts, strict=True)],
        tag=split,
        metadata_header=["label", "text"],
        global_step=step,
    )
