"""Unlabelled texts as a stream of batches, in windows, so that memory stays flat at any size of input."""

import hashlib
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch.utils.data import IterableDataset
from transformers import PreTrainedTokenizerBase

from emotion_lit.console import say
from emotion_lit.data.batching import Batch, pack, pad
from emotion_lit.data.columns import TEXT_NAMES, find_text_column
from emotion_lit.data.overlap import ahead
from emotion_lit.data.records import Record, column_names, read_records, stop
from emotion_lit.data.tables import Reject, TableFormat
from emotion_lit.data.tokenization import Tokens, tokenize
from emotion_lit.errors import UserError, unknown

WINDOW = 8192
# A window also ends where its rows come to so many characters, so that long ones do not fill the memory.
WINDOW_CHARACTERS = 2**25
# No tokenizer needs more of a text for one token, and the rest of a very long text costs time alone.
CHARACTERS_PER_TOKEN = 1024
NO_TEXT = "no text: null, empty or not a string"
HALF_CHARACTER = "half a character was replaced"

OnBadRow = Literal["stop", "skip"]


class Window:
    """Rows in the order of the input, which are computed together and written together.

    Attributes:
        number: Its place among the windows, from zero.
        rows: The number of each row in the input, from zero; rejected rows count.
        records: The rows.
        notes: What there is to say about each row; mostly nothing.
        rejects: Rows among them that could not be read.
        digest: A hash of the whole input up to its end.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.rows: list[int] = []
        self.records: list[Record] = []
        self.notes: list[str] = []
        self.rejects: list[Reject] = []
        self.digest = ""

    def __len__(self) -> int:
        return len(self.records)


class TextStream(IterableDataset[Batch]):
    """Batches of like length out of files of texts.

    Each batch carries its ``window``, the ``places`` of its texts in it and their ``row`` numbers; the last batch of a
    window has the rows without a text, and no tensors.

    Args:
        files: What to read: files, or ``-`` for standard input.
        text_column: The column of texts; None finds it in each file by its name.
        columns: Other columns that every row has to have.
        id_column: The column of names of the rows, which may be missing.
        tokenizer: The backbone's tokenizer.
        max_length: Where texts are cut, in tokens.
        tokens_per_batch: The token budget of a batch, padding included.
        pad_id: The id of the padding token.
        on_error: ``stop`` at a row that cannot be read, or ``skip`` it into the window's rejects.
        multiple: The length of a batch is rounded up to a multiple of so many tokens.
        text_format: How files of text are divided, where that is not to be found from them.
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
        pad_id: int,
        on_error: OnBadRow = "stop",
        multiple: int = 1,
        text_format: TableFormat = TableFormat(),
    ) -> None:
        self.files = files
        self.text_column = text_column
        self.text_key = text_column or TEXT_NAMES[0]  # of the texts in a window's records
        self.columns = [self.text_key, *columns]
        self.kept = {*self.columns, id_column}  # of everything else, memory is spared
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.tokens_per_batch = tokens_per_batch
        self.pad_id = pad_id
        self.on_error = on_error
        self.multiple = multiple
        self.text_format = text_format
        self.digest: str | None = None
        self.windows: int | None = None  # when all are read
        self.digests: list[str] = []  # up to the end of each window that has been read
        self.error: Exception | None = None  # where several share the windows, who waits for the others raises it
        self._coming: Iterator[list[Batch]] | None = None
        self._first: list[Batch] | None = None
        self._done: Mapping[int, str] = {}
        self._share, self._shares = 0, 1
        self._said: set[str] = set()

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
        """The rows in windows, rejected ones apart."""
        content = hashlib.sha256()
        window, characters = Window(0), 0
        for row, item in enumerate(self._items()):
            shown = repr(item)
            content.update(shown.encode("utf-8", "surrogatepass"))
            characters += len(shown)
            if isinstance(item, Reject):
                window.rejects.append(item)
            else:
                window.rows.append(row)
                window.records.append(item)
            if len(window) + len(window.rejects) >= WINDOW or characters >= WINDOW_CHARACTERS:
                window.digest = content.hexdigest()
                yield window
                window, characters = Window(window.number + 1), 0
        if window.records or window.rejects:
            window.digest = content.hexdigest()
            yield window

    def _items(self) -> Iterator[Record | Reject]:
        rejects: list[Reject] = []

        def reject(where: str, reason: str, content: Any) -> None:
            rejects.append(Reject(where, reason.strip(": "), content))

        for file in self.files:
            on_error = reject if self.on_error == "skip" else stop
            names = column_names(file, self.text_format)
            text = self._text_column(names, Path(file).name) if names else ""
            for where, record in read_records(
                file, self.text_key, on_error, self.kept | {text or self.text_key}, self.text_format
            ):
                yield from _drained(rejects)
                try:
                    text = text or self._text_column(record, where)
                except UserError as error:
                    if self.on_error != "skip":
                        raise
                    yield Reject(where, str(error).removeprefix(f"{where}: "), record)
                    continue
                if text != self.text_key and text in record:
                    record[self.text_key] = record[text]
                missing = next((column for column in self.columns if column not in record), None)
                if missing is None:
                    yield {column: value for column, value in record.items() if column in self.kept}
                    continue
                problem = f": {unknown('column', missing, names or record)}"
                if self.on_error == "skip":
                    yield Reject(where, problem.strip(": "), record)
                else:
                    key = "data.text_column" if missing == self.text_key else "data.keep_columns"
                    raise UserError(f"{where}{problem} Name it with {key}.")
            yield from _drained(rejects)

    def _text_column(self, names: Collection[str], where: str) -> str:
        """The column of texts in a file, said once where it is not the usual one."""
        if self.text_column is not None:
            return self.text_column
        name, note = find_text_column(names, None, where)
        if note and note not in self._said:
            self._said.add(note)
            say(f"{where}: {note}; --data.text_column names another")
        return name

    def _batches(self, window: Window) -> list[Batch]:
        texts = [record[self.text_key] for record in window.records]
        readable = [place for place, text in enumerate(texts) if isinstance(text, str) and text.strip()]
        missing = sorted(set(range(len(texts))) - set(readable))
        window.notes = [""] * len(texts)
        for place in missing:
            window.notes[place] = NO_TEXT
        tokens = self._tokens(window, readable)
        order = np.argsort(tokens.lengths, kind="stable")
        batches: list[Batch] = []
        for places in pack(tokens.lengths[order], self.tokens_per_batch):
            chosen = order[places]
            padded = pad(tokens, chosen.tolist(), self.pad_id, self.multiple)
            batches.append({**padded, **_of(window, [readable[place] for place in chosen])})
        if missing or not texts:
            batches.append(_of(window, missing))
        self._first = self._first or batches
        return batches

    def _tokens(self, window: Window, readable: Sequence[int]) -> Tokens:
        """The tokens of the texts, with a note where a text was cut."""
        longest = CHARACTERS_PER_TOKEN * self.max_length
        texts = []
        for place in readable:
            text = window.records[place][self.text_key]
            whole = text.encode("utf-8", "replace").decode() if not _encodes(text) else text
            window.notes[place] = "" if whole is text else HALF_CHARACTER
            texts.append(whole[:longest])
        tokens = tokenize(texts, self.tokenizer, self.max_length)
        for place in np.flatnonzero(tokens.lengths >= self.max_length).tolist():
            all_of_it = self.tokenizer(texts[place], verbose=False)["input_ids"]
            if len(all_of_it) > self.max_length or len(window.records[readable[place]][self.text_key]) > longest:
                window.notes[readable[place]] = f"only its first {self.max_length} tokens were read"
        return tokens


def _of(window: Window, places: list[int]) -> Batch:
    return {"row": [window.rows[place] for place in places], "places": places, "window": window}


def _drained(rejects: list[Reject]) -> Iterator[Reject]:
    yield from rejects
    rejects.clear()


def _encodes(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair, out of a JSON escape
        return False
    return True
