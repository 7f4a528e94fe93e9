"""Unlabelled texts as a stream of batches, in windows, so that memory stays flat at any size of input."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from torch.utils.data import IterableDataset
from transformers import PreTrainedTokenizerBase

from emotion_lit.data.batching import Batch, pack, pad
from emotion_lit.data.records import Record, read_records
from emotion_lit.data.tokenization import Tokens, tokenize
from emotion_lit.errors import UserError, unknown

WINDOW = 8192
ID_COLUMN = "id"


class TextStream(IterableDataset[Batch]):
    """Batches of like length out of files of texts.

    Each batch carries the ``row`` numbers of its texts, counted from zero over all files, their ``text`` (None where
    it is missing) and their ``id``; the token tensors leave out rows without a text, whose places ``labelled`` omits.

    Args:
        files: What to read: files, or ``-`` for standard input.
        text_column: The column of texts.
        tokenizer: The backbone's tokenizer.
        max_length: Where texts are cut, in tokens.
        tokens_per_batch: The token budget of a batch, padding included.
        pad_id: The id of the padding token.
    """

    def __init__(
        self,
        files: Sequence[str],
        text_column: str,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        tokens_per_batch: int,
        pad_id: int,
    ) -> None:
        self.files = files
        self.text_column = text_column
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.tokens_per_batch = tokens_per_batch
        self.pad_id = pad_id

    def survey(self) -> int | None:
        """Reads everything once, so that a bad row is found before the work starts rather than in its midst.

        Returns:
            The number of rows; None for standard input, which can be read only once.

        Raises:
            UserError: A row is unreadable, or has no text column.
        """
        return None if "-" in self.files else sum(1 for _ in self._records())

    def __iter__(self) -> Iterator[Batch]:
        records = enumerate(self._records())
        while window := list(islice(records, WINDOW)):
            yield from self._batches(window)

    def _records(self) -> Iterator[Record]:
        for file in self.files:
            for where, record in read_records(file, self.text_column):
                if self.text_column not in record:
                    raise UserError(
                        f"{where}: {unknown('column', self.text_column, record)} Name it with data.text_column."
                    )
                yield record

    def _batches(self, window: list[tuple[int, Record]]) -> Iterator[Batch]:
        texts = [record[self.text_column] for _, record in window]
        readable = [place for place, text in enumerate(texts) if isinstance(text, str) and text.strip()]
        tokens = tokenize([texts[place] for place in readable], self.tokenizer, self.max_length)
        order = np.argsort(tokens.lengths, kind="stable")
        for places in pack(tokens.lengths[order], self.tokens_per_batch):
            chosen = order[places]
            yield self._batch(window, [readable[place] for place in chosen], tokens, chosen.tolist())
        missing = sorted(set(range(len(window))) - set(readable))
        if missing:
            yield self._batch(window, missing, None, [])

    def _batch(
        self, window: list[tuple[int, Record]], places: list[int], tokens: Tokens | None, token_rows: list[int]
    ) -> Batch:
        return {
            **(pad(tokens, token_rows, self.pad_id) if tokens else {}),
            "row": [window[place][0] for place in places],
            "id": [window[place][1].get(ID_COLUMN, window[place][0]) for place in places],
            "text": [window[place][1][self.text_column] for place in places],
        }
