import numpy as np
import pytest

from emotion_lit.data.budgets import AUTO, filling_budget, training_budget
from emotion_lit.data.settings import DataSettings
from emotion_lit.data.shapes import padding_share
from emotion_lit.errors import UserError

LENGTHS = np.random.default_rng(0).integers(5, 40, size=20_000)


def test_auto_is_chosen_by_device_and_texts() -> None:
    assert DataSettings().tokens_per_batch == AUTO
    assert training_budget(AUTO) == training_budget(AUTO, "mps", 10**9) == 1024
    assert [training_budget(AUTO, "cuda", tokens) for tokens in (1000, 2_100_000, 10**9)] == [2048, 4096, 8192]
    assert training_budget(300, "cuda", 10**9) == 300


@pytest.mark.parametrize("value", [0, -1])
def test_numbers_below_one_are_refused(value: int) -> None:
    with pytest.raises(UserError, match="should be at least 1"):
        DataSettings(tokens_per_batch=value)


def test_batches_fill_the_memory_unless_they_would_mix_lengths() -> None:
    assert filling_budget(LENGTHS, LENGTHS, 10_000, 1024) == 8192
    assert filling_budget(LENGTHS, LENGTHS, 3000, 4096) == 3000  # no more than fits
    budget = filling_budget(LENGTHS, LENGTHS, 10**9, 1024)
    assert 1024 < budget < 2**17
    assert padding_share(LENGTHS, LENGTHS, budget) <= 0.08 < padding_share(LENGTHS, LENGTHS, 2 * budget)
    assert filling_budget(LENGTHS[:9], LENGTHS[:9], 10**9, 4096) == 4096
