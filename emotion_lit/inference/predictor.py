"""load(path) -> Predictor: labels for texts, in notebooks, apps and servers."""

import html
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch

from emotion_lit.data.batching import pack
from emotion_lit.data.padding import Padding, pad
from emotion_lit.data.texts import cut, is_text, mended
from emotion_lit.data.tokenization import tokenize
from emotion_lit.errors import UserError
from emotion_lit.inference import frames
from emotion_lit.inference.export_loader import load_exported
from emotion_lit.inference.given_texts import one_or_many
from emotion_lit.inference.locations import find_model
from emotion_lit.model import checkpoint as checkpoints
from emotion_lit.model.decision import is_known, ranking
from emotion_lit.model.pretrained import reason
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.utils import fork_safety, platforms
from emotion_lit.utils.colors import colour
from emotion_lit.utils.names import shown

TOKENS_PER_BATCH = 1024


@dataclass(frozen=True)
class Prediction:
    """What a model says about a text.

    Args:
        label: The most probable class; "" where nothing is predicted, because the text is empty, or the model gives no
            finite numbers for it.
        score: Its probability; not a number where nothing is predicted.
        probabilities: The probability of every class; likewise.
        labels: The classes whose probability reaches the threshold, the most probable first, where a text may have
            several; else the label alone.
    """

    label: str
    score: float
    probabilities: dict[str, float]
    labels: tuple[str, ...]

    def _repr_html_(self) -> str:
        """Bars in the emotions' colours, for Jupyter."""
        bars = "".join(
            f"<tr><td>{html.escape(label)}</td><td style='text-align:right'>{probability:.1%}</td>"
            f"<td style='width:20em'><div style='background:{colour(label, place)};"
            f"width:{100 * probability:.1f}%;height:0.9em'></div></td></tr>"
            for place, (label, probability) in enumerate(self.probabilities.items())
        )
        return f"<table>{bars}</table>"


class Predictions(list[Prediction]):
    """Predictions of many texts, in their order."""

    def _repr_html_(self) -> str:
        """A bar for each text, for Jupyter, with a piece in each emotion's colour."""
        rows = "".join(
            f"<tr><td>{html.escape(', '.join(one.labels) or 'none')}</td><td>{one.score:.1%}</td>"
            f"<td style='width:20em'>{_pieces(one)}</td></tr>"
            for one in self
        )
        return f"<table>{rows}</table>"


def _pieces(prediction: Prediction) -> str:
    whole = sum(prediction.probabilities.values()) or 1.0
    pieces = "".join(
        f"<div title='{html.escape(label, quote=True)} {probability:.1%}' style='background:{colour(label, place)};"
        f"width:{100 * probability / whole:.1f}%'></div>"
        for place, (label, probability) in enumerate(prediction.probabilities.items())
    )
    return f"<div style='display:flex;height:0.9em'>{pieces}</div>"


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

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Becomes a copy, in this process or in another one."""
        fork_safety.enable()
        self.__dict__.update(state)

    @property
    def labels(self) -> list[str]:
        """The classes."""
        return self.model.labels

    @overload
    def __call__(self, texts: str) -> Prediction: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, texts: Iterable[str | None]) -> Predictions: ...

    def __call__(self, texts: str | Iterable[str | None]) -> Prediction | Predictions:
        """Labels one text or many.

        Args:
            texts: A text, or an iterable of texts. Empty ones, and None, NaN and the like, have no label.

        Returns:
            A prediction for a text, a list of them in the same order for many.

        Raises:
            UserError: It is something else, or something among them is not a string.
        """
        listed, is_one = one_or_many(texts)
        probabilities = self.probabilities(listed)
        decided = zip(probabilities, self.model.decide(probabilities), is_known(probabilities), strict=True)
        predictions = Predictions(self._prediction(*one) for one in decided)
        return predictions[0] if is_one else predictions

    def frame(self, frame: Any, column: str = "text", prefix: str = "") -> Any:
        """Labels a column of a data frame.

        Args:
            frame: A data frame of pandas or polars, a lazy one too, or an Arrow table; or a series, which becomes one.
            column: The column of texts; a row without a text, or with an empty one, gets no label. A series with a name
                keeps that.
            prefix: What the names of the new columns begin with, such as ``pred_``.

        Returns:
            The frame, of the same kind and with the same index, with the columns ``label``, ``score``, ``p_<label>``
            for every class, and ``labels`` where a text may have several.

        Raises:
            UserError: It is something else, has no such column, or has one that would be overwritten.
        """
        opened, name = frames.opened(frame, column)
        wanted = ["label", "score", *(f"p_{label}" for label in self.labels)]
        wanted += ["labels"] if self.model.multi_label else []
        frames.check_free(opened, [f"{prefix}{one}" for one in wanted], prefix)
        predicted = self(frames.texts_of(opened, name))
        columns: list[frames.Values] = [
            [one.label or None for one in predicted],
            np.array([one.score for one in predicted], dtype=np.float64),
            *(np.array([one.probabilities[label] for one in predicted], dtype=np.float64) for label in self.labels),
            [list(one.labels) if one.label else None for one in predicted],
        ]
        return opened.with_columns({f"{prefix}{one}": values for one, values in zip(wanted, columns, strict=False)})

    @torch.inference_mode()
    def probabilities(self, texts: list[str]) -> torch.Tensor:
        """The probabilities of all classes.

        Args:
            texts: The texts.

        Returns:
            ``[texts, classes]``, on the CPU; not numbers for an empty text.
        """
        result = torch.full((len(texts), len(self.labels)), torch.nan)
        readable = np.array([place for place, text in enumerate(texts) if is_text(text)], dtype=np.int64)
        tokenizer, device = self.model.tokenizer, self.model.device
        if device.type == "cuda" and not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            raise UserError(
                "the model is on the GPU, which a forked process cannot use; load it in the worker, start workers with "
                'spawn, or load it with device="cpu"'
            )
        compute = self.model.engine or self.model
        read = [cut(mended(texts[place]), self.max_length) for place in readable]
        tokens = tokenize(read, tokenizer, self.max_length)
        order = np.argsort(tokens.lengths, kind="stable")
        for places in pack(tokens.lengths[order], self.tokens_per_batch):
            rows = order[places].tolist()
            batch = pad(tokens, rows, Padding.of(tokenizer))
            batch = {
                key: value.to(device) if isinstance(value, torch.Tensor) else value for key, value in batch.items()
            }
            result[readable[rows]] = self.model.probabilities(compute(batch)).cpu()
        return result

    def _prediction(self, probabilities: torch.Tensor, chosen: torch.Tensor, known: torch.Tensor) -> Prediction:
        scores = dict(zip(self.labels, probabilities.tolist(), strict=True))
        if not known:
            return Prediction("", float("nan"), scores, ())
        order = ranking(probabilities[None])[0].tolist()
        label = self.labels[order[0]]
        return Prediction(label, scores[label], scores, tuple(self.labels[place] for place in order if chosen[place]))


def load(path: str | Path, backbone: str | None = None, device: str | None = None) -> Predictor:
    """Loads a trained model.

    It can be copied and pickled, and then needs no file any more. In a forked process it computes with one thread.

    Args:
        path: A checkpoint that `fit` wrote, its run folder, a folder that `export` wrote, or the Hub id of a repository
            that holds an export or a `best.ckpt`.
        backbone: Where the base model of a `head` or `lora` checkpoint, or of an adapter, is, if not where it was: a
            folder or a Hub id.
        device: A torch device; by default a GPU where there is one, and for an exported folder the CPU, on which ONNX
            Runtime always runs.

    Raises:
        UserError: The checkpoint, or the base model that it was trained on, cannot be loaded.
    """
    place = find_model(path)
    exported = load_exported(place, backbone)
    if exported is not None:
        model, max_length = exported
        _move(model, device or "cpu")
        return Predictor(model, max_length, TOKENS_PER_BATCH)
    checkpoint = checkpoints.read_checkpoint(place)
    settings = dict(checkpoint[checkpoints.MODEL_KEY])
    if backbone:
        settings["backbone"] = backbone
    model = EmotionClassifier(**settings)
    model.on_load_checkpoint(checkpoint)
    model.load_state_dict(checkpoint["state_dict"])
    _move(model, device or platforms.device_type())
    data = checkpoint[checkpoints.DATA_KEY]
    max_length = data.get("max_length", 128)
    longest = model.longest_text(max_length)
    return Predictor(model, min(max_length, longest or max_length), data.get("tokens_per_batch", TOKENS_PER_BATCH))


def _move(model: EmotionClassifier, device: str) -> None:
    try:
        model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"the model cannot go to the device {shown(device)}: {reason(error)}; give another one, such as cpu"
        ) from error
