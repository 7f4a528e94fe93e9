import pytest
import torch
from scipy.stats import binomtest

from emotion_lit.inference.agreement import Agreement, compare
from emotion_lit.model.decision import Decision


@pytest.mark.parametrize(("rows", "differing"), [(2000, 0), (2000, 12), (2000, 13), (299, 0), (200, 3), (5, 5)])
def test_what_rows_prove_is_the_exact_binomial(rows: int, differing: int) -> None:
    found = Agreement(rows, differing, 0.0, 0.0)
    interval = binomtest(rows - differing, rows).proportion_ci(0.9, "exact")  # each end with 95% by itself
    assert found.at_least == pytest.approx(interval.low)
    assert found.at_most == pytest.approx(interval.high)


@pytest.mark.parametrize(("rows", "most"), [(2000, 12), (299, 0), (298, -1), (500, 1)])
def test_how_many_rows_may_differ(rows: int, most: int) -> None:
    proven = [differing for differing in range(30) if Agreement(rows, differing, 0.0, 0.0).at_least >= 0.99]
    assert max(proven, default=-1) == most


def test_200_rows_prove_98_point_5_percent_at_most() -> None:
    assert "at least 98.5% of all rows agree" in str(Agreement(200, 0, 0.0, 0.0))
    assert "at least 98.9% of all rows agree" in str(Agreement(298, 0, 0.0, 0.0))  # and not 99%


def test_several_labels_agree_where_their_sets_do() -> None:
    decision = Decision(("a", "b"), True, 1.0, (0.5, 0.2))
    reference = torch.tensor([[0.9, 0.19], [0.9, 0.3], [0.1, 0.1]])
    others = torch.tensor([[0.9, 0.21], [0.6, 0.3], [0.1, 0.1]])
    found = compare(reference, others, decision)  # the most probable class is the same everywhere
    assert (found.rows, found.differing) == (3, 1)
    assert found.largest_difference == pytest.approx(0.3)


def test_what_is_no_number_differs_unless_torch_has_none_either() -> None:
    decision, nan = Decision(("a", "b"), False, 1.0, (0.5, 0.5)), torch.nan
    reference = torch.tensor([[0.9, 0.1], [nan, nan]])
    assert compare(reference, reference.clone(), decision) == Agreement(2, 0, 0.0, 0.0)
    assert compare(reference, torch.tensor([[nan, 0.1], [nan, nan]]), decision).mean_difference == torch.inf
