"""The bundled sample keeps what its README promises."""

import json
import re
from collections import Counter
from itertools import combinations
from typing import Any

from tests.conftest import ROOT

FOLDER = ROOT / "emotion_lit" / "data" / "sample"


def rows() -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for split in ("train", "validation", "test")
        for line in (FOLDER / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    ]


def shingles(text: str, size: int = 5) -> set[str]:
    folded = re.sub(r"\W+", " ", text.lower()).strip()
    return {folded[place : place + size] for place in range(max(1, len(folded) - size + 1))}


def test_enough_of_everything() -> None:
    everything = rows()
    assert min(Counter(row["labels_str"][0] for row in everything).values()) >= 120
    assert len({row["labels_str"][0] for row in everything}) == 7
    assert min(Counter(row["source"] for row in everything).values()) >= 0.2 * len(everything)
    cases = Counter(row["case"] for row in everything)
    assert min(cases[case] for case in ("negation", "irony", "mixed")) >= 100
    assert sum(len(row["labels"]) > 1 for row in everything) == cases["mixed"]


def test_lengths_vary() -> None:
    lengths = sorted(len(row["text"].split()) for row in rows())
    tenth = len(lengths) // 10
    assert lengths[tenth] <= 8
    assert lengths[-tenth] >= 28


def test_no_near_duplicates() -> None:
    texts = [row["text"] for row in rows()]
    sets = [shingles(text) for text in texts]
    holders: dict[str, list[int]] = {}
    for place, found in enumerate(sets):
        for shingle in found:
            holders.setdefault(shingle, []).append(place)
    shared: Counter[tuple[int, int]] = Counter()
    for places in holders.values():
        if len(places) <= 30:  # common shingles (" the ") join everything and prove nothing
            shared.update(combinations(places, 2))
    close = [
        (texts[one], texts[other])
        for (one, other), count in shared.items()
        if count / len(sets[one] | sets[other]) >= 0.3
    ]
    assert close == []


def test_no_templates() -> None:
    openings = Counter(" ".join(row["text"].lower().split()[:3]) for row in rows())
    assert openings.most_common(1)[0][1] <= 8
    skeletons = Counter(re.sub(r"[^\W\d_]{5,}", "_", row["text"].lower()) for row in rows() if len(row["text"]) > 40)
    assert skeletons.most_common(1)[0][1] == 1
