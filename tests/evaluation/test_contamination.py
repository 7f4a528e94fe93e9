from emotion_lit.evaluation.contamination import find_overlaps

TRAIN = ["I can't believe how good that concert was last night", "the shop opens at nine", "ok"]


def test_texts_that_stand_in_train_are_marked() -> None:
    test = [
        "The shop  opens at NINE",
        "i can't believe how good that concert was last night!!",
        "she said yes and I cried all the way home",
        "OK",
        "",
    ]
    assert find_overlaps(TRAIN, test) == ["same", "nearly", "", "same", ""]


def test_nothing_to_compare_with() -> None:
    assert find_overlaps([], ["a text"]) == [""]
    assert find_overlaps(TRAIN, []) == []
