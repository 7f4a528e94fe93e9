"""Runs that end right after one of their saves, in one process, and go on: the places of a stop, one by one."""

from pathlib import Path
from typing import Any

import pytest

from emotion_lit.cli import main
from emotion_lit.training.callbacks.last_checkpoint import LastCheckpoint
from tests.faults.kills import FIT, SMALL, compare_runs

# Those in which a place inside an epoch is the hardest to find again.
A_FEW = ("accumulated and validated inside", "steps inside an epoch")


def stopped_after_each(
    monkeypatch: pytest.MonkeyPatch, folder: Path, backbone: Path, setting: str, share: float
) -> int:
    """Stops after every so many saves, compares the run that goes on with the undisturbed one, and counts the stops."""
    saves = [0, 0]  # made, and to be made
    save = LastCheckpoint.save

    def counted(self: LastCheckpoint, trainer: Any) -> None:
        save(self, trainer)
        saves[0] += 1
        if saves[0] == saves[1]:
            raise SystemExit(0)

    monkeypatch.setattr(LastCheckpoint, "save", counted)
    words = ["fit", *SMALL, f"--model.backbone={backbone}", *FIT[setting]]
    main([*words, f"--trainer.default_root_dir={folder / 'whole'}"])
    whole, made = next(folder.glob("whole/*/version_0")), saves[0]
    stops = range(1, made + 1, max(1, round(share * made)))
    for stop in stops:
        saves[:] = 0, stop
        with pytest.raises(SystemExit):
            main([*words, f"--trainer.default_root_dir={folder / str(stop)}"])
        saves[:] = 0, 0
        stopped = next(folder.glob(f"{stop}/*/version_0"))
        main(["fit", f"--ckpt_path={stopped}"])
        compare_runs(whole, stopped)
    return len(stops)


@pytest.mark.parametrize("setting", A_FEW)
def test_a_run_goes_on_as_if_it_had_not_stopped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_backbone: Path, setting: str
) -> None:
    assert stopped_after_each(monkeypatch, tmp_path, tiny_backbone, setting, share=0.62) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("setting", FIT)
def test_a_run_goes_on_after_every_save(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_backbone: Path, setting: str
) -> None:
    assert stopped_after_each(monkeypatch, tmp_path, tiny_backbone, setting, share=0) >= 5
