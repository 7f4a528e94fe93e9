"""load(path) -> Predictor: labels for texts, in notebooks, apps and servers."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import torch

from emotion_lit.data.batching import pack, pad
from emotion_lit.data.tokenization import tokenize
from emotion_lit.errors import UserError
from emotion_lit.model import checkpoint as checkpoints
from emotion_lit.model.classifier import EmotionClassifier


@dataclass(frozen=True)
class Prediction:
    """What a model says about a text.

    Args:
        label: The most probable class.
        score: Its probability.
        probabilities: The probability of every class.
        labels: The classes whose probability reaches the threshold, the most probable first, where a text may have
            several; else the label alone.
    """

    label: str
    score: float
    probabilities: dict[str, float]
    labels: tuple[str, ...]


class Predictor:
    """A trained model that takes texts.

    Args:
        model: The model.
        max_length: Where texts are cut, in tokens.
        tokens_per_batch: The size of a batch in tokens, padding included.
    """

    def __init__(self, model: EmotionClassifier, max_length: int, tokens_per_batch: int) -> None:
        self.model = model.eval()
        self.max_length = max_length
        self.tokens_per_batch = tokens_per_batch

    @property
    def labels(self) -> list[str]:
        """The classes."""
        return self.model.labels

    @overload
    def __call__(self, texts: str) -> Prediction: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, texts: Iterable[str]) -> list[Prediction]: ...

    def __call__(self, texts: str | Iterable[str]) -> Prediction | list[Prediction]:
        """Labels one text or many.

        Args:
            texts: A text, or any number of them.

        Returns:
            A prediction for a text, a list of them in the same order for many.

        Raises:
            UserError: Something among them is not a string.
        """
        if isinstance(texts, str):
            return self([texts])[0]
        listed = list(texts)
        for place, text in enumerate(listed):
            if not isinstance(text, str):
                raise UserError(f"text {place} is {text!r}, which is not a string")
        return [self._prediction(scores) for scores in self.probabilities(listed).tolist()]

    @torch.inference_mode()
    def probabilities(self, texts: list[str]) -> torch.Tensor:
        """The probabilities of all classes.

        Args:
            texts: The texts.

        Returns:
            ``[texts, classes]``, on the CPU.
        """
        result = torch.empty(len(texts), len(self.labels))
        tokenizer, device = self.model.tokenizer, self.model.device
        tokens = tokenize(texts, tokenizer, self.max_length)
        order = np.argsort(tokens.lengths, kind="stable")
        for places in pack(tokens.lengths[order], self.tokens_per_batch):
            rows = order[places].tolist()
            batch = pad(tokens, rows, int(tokenizer.pad_token_id or 0))
            batch = {
                key: value.to(device) if isinstance(value, torch.Tensor) else value for key, value in batch.items()
            }
            result[rows] = self.model.probabilities(self.model(batch)).cpu()
        return result

    def _prediction(self, scores: list[float]) -> Prediction:
        probabilities = dict(zip(self.labels, scores, strict=True))
        label = max(probabilities, key=probabilities.__getitem__)
        labels = tuple(self.model.threshold_labels(scores)) if self.model.multi_label else (label,)
        return Prediction(label, probabilities[label], probabilities, labels)


def load(path: str | Path, backbone: str | None = None, device: str | None = None) -> Predictor:
    """Loads a trained model.

    Args:
        path: A checkpoint that `fit` wrote, or its run folder.
        backbone: Where the base model of a `head` or `lora` checkpoint is, if not where it was: a folder or a Hub id.
        device: A torch device; by default a GPU where there is one.

    Raises:
        UserError: The checkpoint, or the base model that it was trained on, cannot be loaded.
    """
    checkpoint = checkpoints.read_checkpoint(path)
    settings = dict(checkpoint[checkpoints.MODEL_KEY])
    if backbone:
        settings["backbone"] = backbone
    model = EmotionClassifier(**settings)
    model.on_load_checkpoint(checkpoint)
    model.load_state_dict(checkpoint["state_dict"])
    model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    data = checkpoint[checkpoints.DATA_KEY]
    return Predictor(model, data.get("max_length", 128), data.get("tokens_per_batch", 1024))
