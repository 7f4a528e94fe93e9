"""Data contamination: test texts that also occur in the training split, exactly or nearly."""

import zlib
from collections.abc import Sequence
from typing import Any

from emotion_lit.data.deduplication import normalize_text

# Two texts are near duplicates if they share at least this part of their character n-grams (Jaccard similarity).
NGRAM = 5
SIMILARITY = 0.8
PERMUTATIONS = 64
# The marks of a duplicate and of a near duplicate, as predictions.parquet and report.json have them.
SAME, NEARLY = "same", "nearly"


def find_overlaps(train: Sequence[str], test: Sequence[str]) -> list[str]:
    """Finds the test texts that also occur in train.

    Candidates for near duplicates come from MinHash (Broder 1997), and their similarity is then computed.

    Args:
        train: The training texts.
        test: The test texts.

    Returns:
        For each test text ``same`` (equal but for case and white space), ``nearly``, or an empty string.
    """
    from datasketch import MinHash, MinHashLSH

    seen = {normalize_text(text) for text in train}
    normalized = [normalize_text(text) for text in test]
    marks = [SAME if text in seen else "" for text in normalized]
    ngrams = {row: _ngrams(text) for row, text in enumerate(normalized) if not marks[row]}
    index, empty = MinHashLSH(threshold=SIMILARITY, num_perm=PERMUTATIONS), MinHash(PERMUTATIONS, hashfunc=zlib.crc32)
    for row, own in ngrams.items():
        index.insert(row, _min_hash(own, empty))
    for text in seen:
        own = _ngrams(text)
        for row in index.query(_min_hash(own, empty)):
            if not marks[row] and _similarity(own, ngrams[row]) >= SIMILARITY:
                marks[row] = NEARLY
    return marks


def _ngrams(text: str) -> set[bytes]:
    return {text[start : start + NGRAM].encode() for start in range(max(1, len(text) - NGRAM + 1))}


def _min_hash(ngrams: set[bytes], empty: Any) -> Any:
    hashed = empty.copy()  # with its permutations: drawing them takes longer than hashing a text
    hashed.update_batch(list(ngrams))
    return hashed


def _similarity(left: set[bytes], right: set[bytes]) -> float:
    return len(left & right) / len(left | right)
