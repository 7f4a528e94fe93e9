"""Packs texts, window by window, into padded batches of similar length."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from emotion_lit.data.batching import Batch, pack
from emotion_lit.data.padding import Padding, pad
from emotion_lit.data.shapes import Lengths, batch_lengths, pack_full, round_up
from emotion_lit.data.tokenization import Tokens


class Packing:
    """Packs the texts of a window into batches.

    Args:
        tokens_per_batch: The token budget of a batch, padding included.
        padding: The token for padding, and its side.
        multiple: The length of a batch is rounded up to a multiple of this number of tokens.
    """

    def __init__(self, tokens_per_batch: int, padding: Padding, multiple: int = 1) -> None:
        self.tokens_per_batch = tokens_per_batch
        self.padding = padding
        self.multiple = multiple
        self._choose_budget: Callable[[Lengths], int] | None = None
        self._longest = 0
        self._steps: tuple[int, ...] = ()

    def use_shapes(self, choose_budget: Callable[[Lengths], int], max_length: int) -> None:
        """Lets the shapes of batches recur, each length with one number of rows; the first window decides them.

        Args:
            choose_budget: Chooses the token budget, given the lengths of the texts of that window.
            max_length: The length of the longest text of any window.
        """
        self._choose_budget, self._longest = choose_budget, max_length

    def batches(self, tokens: Tokens) -> Iterator[tuple[npt.NDArray[np.int64], Batch]]:
        """Packs the texts of a window.

        Args:
            tokens: Their tokens.

        Yields:
            The indices of the texts of a batch, and the batch; rows after these texts repeat the last of them.
        """
        if self._choose_budget is not None and len(tokens.lengths):
            self._choose_shapes(tokens.lengths, self._choose_budget)
        lengths = round_up(tokens.lengths, self._steps)
        order = np.argsort(lengths, kind="stable")
        for places in (pack_full if self._steps else pack)(lengths[order], self.tokens_per_batch):
            chosen = order[places]
            if self._steps:
                yield chosen, self._filled(tokens, chosen, int(lengths[chosen[-1]]))
            else:
                yield chosen, pad(tokens, chosen, self.padding, self.multiple)

    def _choose_shapes(self, lengths: Lengths, choose_budget: Callable[[Lengths], int]) -> None:
        self.tokens_per_batch, self._choose_budget = choose_budget(lengths), None
        every = np.append(lengths, self._longest)
        self._steps = batch_lengths(-(-every // self.multiple) * self.multiple, self.tokens_per_batch)

    def _filled(self, tokens: Tokens, chosen: Lengths, length: int) -> Batch:
        rows = chosen.tolist()
        missing = max(0, self.tokens_per_batch // length - len(rows))
        batch = pad(tokens, rows + rows[-1:] * missing, self.padding, length=length)
        return {**batch, "tokens": int(tokens.lengths[chosen].sum())}
