"""Unlabelled texts as a stream of batches, in windows, so that memory stays flat at any size of input."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from torch.utils.data import IterableDataset
from transformers import PreTrainedTokenizerBase

from emotion_lit.data.batching import Batch, pack
from emotion_lit.data.formats.readers import TableFormat, stop
from emotion_lit.data.padding import Padding, pad
from emotion_lit.data.texts import cut, is_text, mended
from emotion_lit.data.tokenization import Tokens, tokenize
from emotion_lit.data.windows import FOUND, Window, Windows
from emotion_lit.errors import UserError
from emotion_lit.utils.prefetch import ahead

WINDOW = 8192
NO_TEXT = "no text: null, empty or not a string"
HALF_CHARACTER = "half a character was replaced"

OnBadRow = Literal["stop", "skip"]


class TextStream(IterableDataset[Batch]):
    """Batches of like length out of files of texts.

    Each batch carries its ``window``, the ``places`` of its texts in it and their ``row`` numbers; the last batch of a
    window has the rows without a text, and no tensors.

    Args:
        files: What to read: files, or ``-`` for standard input.
        text_column: The column of texts; None finds it in each file by its name.
        columns: Other columns that each file has to have.
        id_column: The column of names of the rows; one that is called `id` may be missing.
        tokenizer: The backbone's tokenizer.
        max_length: Where texts are cut, in tokens.
        tokens_per_batch: The token budget of a batch, padding included.
        padding: What texts are padded with, and where.
        on_error: ``stop`` at a row that cannot be read, or ``skip`` it into the window's rejects.
        multiple: The length of a batch is rounded up to a multiple of so many tokens.
        text_format: How files of text are divided into rows and columns.
    """

    def __init__(
        self,
        files: Sequence[str],
        text_column: str | None,
        columns: Sequence[str],
        id_column: str,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        tokens_per_batch: int,
        padding: Padding,
        on_error: OnBadRow = "stop",
        multiple: int = 1,
        text_format: TableFormat = FOUND,
    ) -> None:
        self.files = files
        skipped = on_error == "skip"
        self._windows = Windows(files, text_column, columns, id_column, text_format, _take_note if skipped else stop)
        self.text_key = self._windows.text_key
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.tokens_per_batch = tokens_per_batch
        self.padding = padding
        self.multiple = multiple
        self.digest: str | None = None
        self.windows: int | None = None  # when all are read
        self.digests: list[str] = []  # up to the end of each window that has been read
        self.error: Exception | None = None  # where several share the windows, who waits for the others raises it
        self._coming: Iterator[list[Batch]] | None = None
        self._first: list[Batch] | None = None
        self._done: Mapping[int, str] = {}
        self._share, self._shares = 0, 1

    def survey(self) -> int | None:
        """Reads everything once, so that a bad row is found before the work starts rather than in its midst.

        Returns:
            The number of rows; None for standard input, which can be read only once. ``digest`` is a hash of the rows.

        Raises:
            UserError: A row is unreadable, or has no text column; or, with ``on_error: skip``, all of them.
        """
        if "-" in self.files:
            return None
        rows, rejects = 0, 0
        for window in self._read():
            rows, rejects, self.digest = rows + len(window), rejects + len(window.rejects), window.digest
            if rejects and not rows:
                first = window.rejects[0]
                raise UserError(f"none of the first {rejects:,} rows can be read; {first.where}: {first.reason}")
        return rows

    def resume(self, done: Mapping[int, str], share: int = 0, shares: int = 1) -> None:
        """Leaves out windows that an earlier run has dealt with, and those that other processes deal with.

        Args:
            done: The hash of the input up to the end of each of the first, by their numbers; it has to be the same.
            share: The number of this process, from zero.
            shares: The number of processes; of the windows that are left, each takes one in turn.
        """
        self._done, self._share, self._shares = done, share, shares

    def first_batches(self, rows: int) -> list[Batch]:
        """Some batches of the first window that is still to be labelled, to try an engine on; they come again later.

        Args:
            rows: How many texts, about.
        """
        if self._first is None:  # else it is being read already
            coming = self._prepared()
            self._coming = itertools.chain([next(coming, [])], coming)
        batches = [batch for batch in self._first or [] if "input_ids" in batch]
        every = max(1, round(sum(len(batch["row"]) for batch in batches) / rows))
        return batches[every // 2 :: every] or batches

    def __iter__(self) -> Iterator[Batch]:
        try:
            for batches in ahead(self._prepared()):
                yield from batches
            if "-" not in self.files:
                self._coming = self._first = None  # whoever asks again reads again
        except Exception as error:
            if self._shares == 1:
                raise
            self.error = error

    def _prepared(self) -> Iterator[list[Batch]]:
        """The batches of the windows that are left; standard input can be read once only, so all are read once only."""
        if self._coming is None:
            self.digests = []
            self._coming = map(self._batches, self._after(self._read()))
        return self._coming

    def _after(self, windows: Iterator[Window]) -> Iterator[Window]:
        left = 0
        for window in windows:
            self.digests.append(window.digest)
            if window.number not in self._done:
                if left % self._shares == self._share:
                    yield window
                left += 1
            elif window.digest != self._done[window.number]:
                break
        else:
            if max(self._done, default=-1) < len(self.digests):
                self.windows = len(self.digests)
                return
        raise UserError(
            "the input is not the one that the kept rows were made from; give the same input again, or start "
            "anew with --prediction.overwrite true"
        )

    def _read(self) -> Iterator[Window]:
        return self._windows.read(WINDOW)

    def _batches(self, window: Window) -> list[Batch]:
        texts = window.values(self.text_key)
        readable = [place for place, text in enumerate(texts) if is_text(text)]
        missing = sorted(set(range(len(texts))) - set(readable))
        window.notes = [""] * len(texts)
        for place in missing:
            window.notes[place] = NO_TEXT
        tokens = self._tokens(window, texts, readable)
        order = np.argsort(tokens.lengths, kind="stable")
        batches: list[Batch] = []
        for places in pack(tokens.lengths[order], self.tokens_per_batch):
            chosen = order[places]
            padded = pad(tokens, chosen.tolist(), self.padding, self.multiple)
            batches.append({**padded, **_of(window, [readable[place] for place in chosen])})
        if missing or not texts:
            batches.append(_of(window, missing))
        self._first = self._first or batches
        return batches

    def _tokens(self, window: Window, texts: Sequence[Any], readable: Sequence[int]) -> Tokens:
        """The tokens of the texts, with a note where a text was cut."""
        read = []
        for place in readable:
            whole = mended(texts[place])
            window.notes[place] = "" if whole == texts[place] else HALF_CHARACTER
            read.append(cut(whole, self.max_length))
        tokens = tokenize(read, self.tokenizer, self.max_length)
        for place in np.flatnonzero(tokens.lengths >= self.max_length).tolist():
            all_of_it = self.tokenizer(read[place], verbose=False)["input_ids"]
            if len(all_of_it) > self.max_length or len(read[place]) < len(texts[readable[place]]):
                window.notes[readable[place]] = f"only its first {self.max_length} tokens were read"
        return tokens


def _take_note(where: str, reason: str, content: Any) -> None:
    """Lets the reading go on after a row that cannot be read, which is among the rejects."""


def _of(window: Window, places: list[int]) -> Batch:
    return {"row": [window.rows[place] for place in places], "places": places, "window": window}
