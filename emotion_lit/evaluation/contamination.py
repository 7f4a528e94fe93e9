"""Test texts that the model has seen in training, word for word or nearly."""

import zlib
from collections.abc import Sequence
from typing import Any

from datasketch import MinHash, MinHashLSH

from emotion_lit.data.deduplication import normalize_text

# Two texts are nearly the same if of their runs of so many characters this share is common to both.
RUN = 5
NEAR = 0.8
PERMUTATIONS = 64
SAME, NEARLY = "same", "nearly"


def overlap(train: Sequence[str], test: Sequence[str]) -> list[str]:
    """Marks the test texts that also stand in train.

    Near duplicates are found by MinHash (Broder 1997) and then compared.

    Args:
        train: The training texts.
        test: The test texts.

    Returns:
        For each test text ``same`` (without regard to case and white space), ``nearly``, or nothing.
    """
    seen = {normalize_text(text) for text in train}
    folded = [normalize_text(text) for text in test]
    marks = [SAME if text in seen else "" for text in folded]
    runs = {place: _runs(text) for place, text in enumerate(folded) if not marks[place]}
    index, empty = MinHashLSH(threshold=NEAR, num_perm=PERMUTATIONS), MinHash(PERMUTATIONS, hashfunc=zlib.crc32)
    for place, own in runs.items():
        index.insert(place, _hashed(own, empty))
    for text in seen:
        own = _runs(text)
        for place in index.query(_hashed(own, empty)):
            if not marks[place] and _similarity(own, runs[place]) >= NEAR:
                marks[place] = NEARLY
    return marks


def _runs(text: str) -> set[bytes]:
    return {text[start : start + RUN].encode() for start in range(max(1, len(text) - RUN + 1))}


def _hashed(runs: set[bytes], empty: Any) -> Any:
    hashed = empty.copy()  # with its permutations, which take longer to draw than a text to hash
    hashed.update_batch(list(runs))
    return hashed


def _similarity(left: set[bytes], right: set[bytes]) -> float:
    return len(left & right) / len(left | right)
