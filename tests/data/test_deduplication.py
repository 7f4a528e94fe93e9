from emotion_lit.data.deduplication import deduplicate
from emotion_lit.data.rows import Rows


def test_texts_of_validation_and_test_leave_train_and_repeats_collapse() -> None:
    splits = {
        "train": Rows(["Seen  TODAY", "twice", "Twice ", "own"], [(0,), (1,), (0,), (1,)], [""] * 4),
        "validation": Rows(["seen today"], [(0,)], [""]),
        "test": Rows(["other"], [(0,)], [""]),
    }
    kept, removed = deduplicate(splits)
    assert kept["train"].texts == ["twice", "own"]
    assert removed == {"held_out": 1, "repeated": 1, "validation": 0}
    assert kept["validation"] is splits["validation"]


def test_texts_of_test_leave_validation_and_train() -> None:
    splits = {
        "train": Rows(["both", "own"], [(0,), (1,)], ["a", "b"]),
        "validation": Rows(["BOTH ", "valid", "valid"], [(0,), (1,), (1,)], ["a", "b", "c"]),
        "test": Rows(["both", "both"], [(0,), (0,)], [""] * 2),
    }
    kept, removed = deduplicate(splits)
    assert removed == {"held_out": 1, "repeated": 0, "validation": 1}
    assert (kept["train"].texts, kept["validation"].texts) == (["own"], ["valid", "valid"])
    assert (kept["validation"].labels, kept["validation"].sources) == ([(1,), (1,)], ["b", "c"])
    assert kept["test"] is splits["test"]
    without, removed = deduplicate({split: splits[split] for split in ("validation", "test")})
    assert (without["validation"].texts, removed["validation"]) == (["valid", "valid"], 1)
