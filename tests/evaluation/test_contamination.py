from emotion_lit.evaluation.contamination import overlap

TRAIN = ["I can't believe how good that concert was last night", "the shop opens at nine", "ok"]


def test_texts_that_stand_in_train_are_marked() -> None:
    test = [
        "The shop  opens at NINE",
        "i can't believe how good that concert was last night!!",
        "she said yes and I cried all the way home",
        "OK",
        "",
    ]
    assert overlap(TRAIN, test) == ["same", "nearly", "", "same", ""]


def test_nothing_to_compare_with() -> None:
    assert overlap([], ["a text"]) == [""]
    assert overlap(TRAIN, []) == []
