"""Divides windows of texts into batches of tokens, with a note about each text that is not read unchanged."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerBase

from emotion_lit.data.batching import Batch
from emotion_lit.data.packing import Packing
from emotion_lit.data.texts import cut, is_text, replace_surrogates
from emotion_lit.data.tokenization import Tokens, tokenize
from emotion_lit.data.windows import Window
from emotion_lit.utils.device_copies import pinned

NO_TEXT = "no text: null, empty or not a string"
HALF_CHARACTER = "half a character was replaced"

Notes = npt.NDArray[np.object_]  # of str | None


class WindowBatches:
    """Divides windows into batches of texts of similar length.

    Args:
        tokenizer: The backbone's tokenizer.
        max_length: The number of tokens after which a text is truncated.
        packing: Packs texts into batches.
        pin_memory: Whether the batches are for a CUDA GPU.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, max_length: int, packing: Packing, pin_memory: bool = False
    ) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.packing = packing
        self.pin_memory = pin_memory

    def of(self, window: Window, column: str) -> list[Batch]:
        """The batches of a window, in order of length.

        Args:
            window: The window.
            column: Its column of texts.

        Returns:
            The batches, each with its ``window``, the ``places`` of its texts in the window, their ``row`` numbers in
            the input, and their ``notes``, as arrays. The last batch has the rows without a text, and no tensors.
        """
        texts = window.values(column)
        is_readable = np.fromiter(map(is_text, texts), dtype=np.bool_, count=len(texts))
        readable, missing = np.flatnonzero(is_readable), np.flatnonzero(~is_readable)
        tokens, notes = self._tokens([texts[place] for place in readable.tolist()])
        batches: list[Batch] = []
        for chosen, padded in self.packing.batches(tokens):
            ready = pinned(padded) if self.pin_memory else padded
            batches.append({**ready, **_rows(window, readable[chosen], notes[chosen])})
        if len(missing) or not texts:
            batches.append(_rows(window, missing, np.full(len(missing), NO_TEXT, dtype=np.object_)))
        return batches

    def _tokens(self, texts: Sequence[str]) -> tuple[Tokens, Notes]:
        """The tokens of texts, and a note about each text that is not read unchanged."""
        whole = [replace_surrogates(text) for text in texts]
        read = [cut(text, self.max_length) for text in whole]
        tokens = tokenize(read, self.tokenizer, self.max_length)
        notes: Notes = np.full(len(texts), None, dtype=np.object_)
        for place, (text, given) in enumerate(zip(whole, texts, strict=True)):
            if text is not given and text != given:
                notes[place] = HALF_CHARACTER
        for place in np.flatnonzero(tokens.lengths >= self.max_length).tolist():
            is_truncated = tokens.truncated is not None and tokens.truncated[place]
            if is_truncated or len(read[place]) < len(whole[place]):
                notes[place] = f"only its first {self.max_length} tokens were read"
        return tokens, notes


def some_of(batches: Sequence[Batch], rows: int) -> list[Batch]:
    """Some batches of a window, of all lengths.

    Args:
        batches: The batches, in order of length.
        rows: The approximate number of texts.
    """
    texts = [batch for batch in batches if "input_ids" in batch]
    every = max(1, round(sum(len(batch["row"]) for batch in texts) / rows))
    return texts[every // 2 :: every] or texts


def _rows(window: Window, places: npt.NDArray[np.int64], notes: Notes) -> Batch:
    # Arrays, because Lightning walks into each element of a list.
    return {"row": window.rows[places], "places": places, "notes": notes, "window": window}
