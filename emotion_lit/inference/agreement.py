"""How far an engine agrees with PyTorch in single precision, and what so many rows prove about the others."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device
from scipy.stats import beta
from torch import Tensor

from emotion_lit.data.batching import Batch, pack
from emotion_lit.data.formats.records import read_records
from emotion_lit.data.padding import Padding, pad
from emotion_lit.data.sources import sample_file
from emotion_lit.data.tokenization import tokenize
from emotion_lit.training.module import EmotionClassifier

CONFIDENCE = 0.95
# What has to be shown with that confidence: of 2,000 rows at most 12 may differ, of 299 none.
SAME_LABELS, MEAN_DIFFERENCE = 0.99, 0.01
# How far off probabilities in single precision may be that were computed in another order.
SAME_NUMBERS = 1e-4
# What a new file is tried on: texts of the sample, cut so that every encoder has positions for them.
TEXTS, TOKENS, TOKENS_PER_BATCH = 64, 32, 512


@dataclass(frozen=True)
class Agreement:
    """What a comparison with PyTorch has shown.

    Args:
        rows: How many rows were compared.
        differing: Rows that other labels are predicted for; with several labels a text, another set of them.
        mean_difference: By how much a probability is off on average.
        largest_difference: By how much one is off at most.
    """

    rows: int
    differing: int
    mean_difference: float
    largest_difference: float

    @property
    def at_least(self) -> float:
        """The share of all rows that agrees at least, with 95% confidence (Clopper and Pearson, 1934)."""
        if self.differing >= self.rows:
            return 0.0
        return float(beta.ppf(1 - CONFIDENCE, self.rows - self.differing, self.differing + 1))

    @property
    def at_most(self) -> float:
        """The share of all rows that agrees at most, likewise."""
        if not self.differing:
            return 1.0
        return float(beta.ppf(CONFIDENCE, self.rows - self.differing + 1, self.differing))

    @property
    def is_enough(self) -> bool:
        """Whether 99% of the labels are shown to be the same, and probabilities to be off by less than 0.01."""
        return self.mean_difference < MEAN_DIFFERENCE and self.at_least >= SAME_LABELS

    @staticmethod
    def needed() -> str:
        """What is enough."""
        return f"{SAME_LABELS:.0%} and {MEAN_DIFFERENCE}"

    def __str__(self) -> str:
        return (
            f"{self.differing:,} of {self.rows:,} rows get other labels than from PyTorch in single precision, so that "
            f"with {CONFIDENCE:.0%} confidence at least {np.floor(1000 * self.at_least) / 10:.1f}% of all agree; "
            f"probabilities are off by {self.mean_difference:.4f} on average"
        )


def compare(reference: Tensor, others: Tensor, model: EmotionClassifier) -> Agreement:
    """Compares probabilities, and what is predicted from them.

    Args:
        reference: PyTorch's, ``[rows, classes]``.
        others: The engine's, likewise.
        model: The model, which decides.
    """
    if not len(reference):
        return Agreement(0, 0, 0.0, 0.0)
    differing = (model.decide(reference) != model.decide(others)).any(dim=1).sum()
    off = (reference - others).abs().nan_to_num(nan=torch.inf)
    off[~reference.isfinite()] = 0  # where PyTorch has no number either
    return Agreement(len(reference), int(differing), float(off.mean()), float(off.max()))


@torch.inference_mode()
def reference_probabilities(model: EmotionClassifier, batches: Sequence[Batch]) -> Tensor:
    """What every engine is compared with: PyTorch, in single precision, without dropout.

    Args:
        model: The model.
        batches: The texts.

    Returns:
        ``[rows, classes]``, on the CPU.
    """
    was_training = model.training
    model.eval()
    try:
        with torch.autocast(model.device.type, enabled=False):
            found = [model.probabilities(model(move_data_to_device(batch, model.device))) for batch in batches]
    finally:
        model.train(was_training)
    return torch.cat(found).float().cpu()


@torch.inference_mode()
def probabilities_of(engine: Callable[[Batch], Tensor], model: EmotionClassifier, batches: Sequence[Batch]) -> Tensor:
    """The probabilities of an engine.

    Args:
        engine: The engine.
        model: The model.
        batches: The texts.

    Returns:
        ``[rows, classes]``, on the CPU.
    """
    found = [model.probabilities(engine(move_data_to_device(batch, model.device))) for batch in batches]
    return torch.cat(found).float().cpu()


def sample_texts(count: int) -> list[str]:
    """Texts of the bundled sample.

    Args:
        count: How many.
    """
    records = itertools.chain.from_iterable(read_records(str(sample_file(split))) for split in ("test", "train"))
    return [record["text"] for _, record in itertools.islice(records, count)]


def sample_batches(model: EmotionClassifier) -> list[Batch]:
    """Texts of the bundled sample in batches, some of them padded.

    Args:
        model: The model.
    """
    tokens = tokenize(sample_texts(TEXTS), model.tokenizer, TOKENS)
    return [
        pad(tokens, places.tolist(), Padding.of(model.tokenizer)) for places in pack(tokens.lengths, TOKENS_PER_BATCH)
    ]
