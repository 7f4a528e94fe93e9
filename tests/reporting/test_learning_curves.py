"""The curves that a run has kept."""

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from emotion_lit.reporting.learning_curves import read_learning_curves


def test_what_a_killed_run_has_logged_twice_counts_once(tmp_path: Path) -> None:
    """A step that was logged before a kill, and again after the run went on."""
    for values in ([(10, 0.5), (20, 0.4), (30, 0.3)], [(20, 0.41), (30, 0.31), (40, 0.2)]):
        writer = SummaryWriter(str(tmp_path), filename_suffix=str(len(values) + values[0][0]))
        for step, value in values:
            writer.add_scalar("val/loss", value, step)
        writer.close()
    points = [(step, round(value, 2)) for step, value in read_learning_curves(tmp_path)["val/loss"]]
    assert points == [(10, 0.5), (20, 0.41), (30, 0.31), (40, 0.2)]
