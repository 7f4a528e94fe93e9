"""Predictor: labels texts with an engine, a tokenizer and a decision."""

from collections.abc import Iterable
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from emotion_lit.data.batching import Batch, pack
from emotion_lit.data.padding import Padding, pad
from emotion_lit.data.texts import cut, is_text, replace_surrogates
from emotion_lit.data.tokenization import tokenize
from emotion_lit.inference import frames
from emotion_lit.inference.engines import Engine
from emotion_lit.inference.given_texts import one_or_many
from emotion_lit.inference.predictions import Prediction, Predictions
from emotion_lit.model.decision import Decision, is_known, ranking
from emotion_lit.model.memory_limit import MemoryLimit
from emotion_lit.utils import fork_safety, platforms

TOKENS_PER_BATCH = 1024
# A GPU is busy only with many texts at once.
GPU_TOKENS = 2**15


class Predictor:
    """Labels texts.

    It can be copied and pickled, and then needs no file. In a forked process it computes with one thread.

    Args:
        engine: Computes the probabilities of a batch.
        tokenizer: The model's tokenizer.
        decision: How probabilities become labels.
        max_length: The maximum length of a text, in tokens; longer texts are truncated.
        tokens_per_batch: The maximum size of a batch on a CPU, in tokens, padding included. On a GPU a batch has up to
            32,768 tokens, and is halved if it does not fit in memory.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: PreTrainedTokenizerBase,
        decision: Decision,
        max_length: int,
        tokens_per_batch: int = TOKENS_PER_BATCH,
    ) -> None:
        fork_safety.enable()
        self.engine = engine
        self.tokenizer = tokenizer
        self.decision = decision
        self.max_length = max_length
        self.tokens_per_batch = tokens_per_batch
        self._memory_limit = MemoryLimit(names_setting=False)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restores a copy, in this process or in another one."""
        fork_safety.enable()
        self.__dict__.update(state)

    @property
    def labels(self) -> list[str]:
        """The classes in the order of their ids."""
        return list(self.decision.labels)

    @property
    def budget(self) -> int:
        """The maximum size of a batch on the present device, in tokens."""
        device = getattr(self.engine, "device", None)
        on_gpu = device is not None and platforms.has_cost_per_shape(device)
        return max(self.tokens_per_batch, GPU_TOKENS) if on_gpu else self.tokens_per_batch

    def compute(self, batch: Batch) -> Tensor:
        """Computes the probabilities of a batch, in parts if it does not fit in memory.

        Args:
            batch: ``input_ids`` and, if texts are padded, ``attention_mask``, both ``[rows, tokens]``.

        Returns:
            ``[rows, classes]``, on the device of the engine.
        """
        return self._memory_limit.run(self.engine, batch)

    @overload
    def __call__(self, texts: str) -> Prediction: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, texts: Iterable[str | None]) -> Predictions: ...

    def __call__(self, texts: str | Iterable[str | None]) -> Prediction | Predictions:
        """Labels one text or many.

        Args:
            texts: A text, or an iterable of texts. Empty ones, None, NaN and the like get no label.

        Returns:
            A prediction for a text; for many a list of predictions, in the order of the texts.

        Raises:
            UserError: It is something else, or contains something that is not a string.
        """
        listed, is_one = one_or_many(texts)
        probabilities = self.probabilities(listed)
        rows = zip(probabilities, self.decision.predicted(probabilities), is_known(probabilities), strict=True)
        predictions = Predictions(self._prediction(*row) for row in rows)
        return predictions[0] if is_one else predictions

    def frame(self, frame: Any, column: str = "text", prefix: str = "") -> Any:
        """Labels a column of a data frame.

        Args:
            frame: A data frame of pandas or polars, a lazy one too, or an Arrow table; or a series, which becomes one.
            column: The column of texts. Null and empty texts get no label. A series with a name keeps its name.
            prefix: A prefix for the names of the new columns, such as ``pred_``.

        Returns:
            The frame, of the same kind and with the same index, with the columns ``label``, ``score``, ``p_<label>``
            for every class, and, multi-label, ``labels``.

        Raises:
            UserError: It is something else, has no such column, or has one that would be overwritten.
        """
        opened, name = frames.as_frame(frame, column)
        wanted = ["label", "score", *(f"p_{label}" for label in self.labels)]
        wanted += ["labels"] if self.decision.multi_label else []
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
    def probabilities(self, texts: list[str]) -> Tensor:
        """Computes the probabilities of all classes.

        Args:
            texts: The texts.

        Returns:
            ``[texts, classes]``, on the CPU; NaN for an empty text.
        """
        result = torch.full((len(texts), len(self.labels)), torch.nan)
        readable = np.array([place for place, text in enumerate(texts) if is_text(text)], dtype=np.int64)
        read = [cut(replace_surrogates(texts[place]), self.max_length) for place in readable]
        tokens, padding = tokenize(read, self.tokenizer, self.max_length), Padding.of(self.tokenizer)
        order = np.argsort(tokens.lengths, kind="stable")
        packed = pack(tokens.lengths[order], self.budget)
        parts = [self.compute(pad(tokens, order[places], padding)) for places in packed]
        if parts:  # copied at once, because a copy waits for the device
            result[readable[order]] = torch.cat(parts).cpu()
        return result

    def _prediction(self, probabilities: Tensor, predicted: Tensor, known: Tensor) -> Prediction:
        scores = dict(zip(self.labels, probabilities.tolist(), strict=True))
        if not known:
            return Prediction("", float("nan"), scores, ())
        order = ranking(probabilities[None])[0].tolist()
        label = self.labels[order[0]]
        chosen = tuple(self.labels[place] for place in order if predicted[place])
        return Prediction(label, scores[label], scores, chosen)
