"""Texts of the bundled sample, on which engines and exports are compared."""

import itertools

from transformers import PreTrainedTokenizerBase

from emotion_lit.data.batching import Batch, pack
from emotion_lit.data.formats.records import read_records
from emotion_lit.data.padding import Padding, pad
from emotion_lit.data.sources import sample_file
from emotion_lit.data.tokenization import tokenize

# Short enough for the position table of every encoder.
TEXTS, TOKENS, TOKENS_PER_BATCH = 64, 32, 512


def sample_texts(count: int) -> list[str]:
    """The first texts of the bundled sample, test split first.

    Args:
        count: How many.
    """
    records = itertools.chain.from_iterable(read_records(str(sample_file(split))) for split in ("test", "train"))
    return [record["text"] for _, record in itertools.islice(records, count)]


def sample_batches(tokenizer: PreTrainedTokenizerBase) -> list[Batch]:
    """Texts of the bundled sample in batches, some of them padded.

    Args:
        tokenizer: The model's tokenizer.
    """
    tokens = tokenize(sample_texts(TEXTS), tokenizer, TOKENS)
    padding = Padding.of(tokenizer)
    return [pad(tokens, rows.tolist(), padding) for rows in pack(tokens.lengths, TOKENS_PER_BATCH)]
