"""A run on a GPU, with a CPU that is taken for one: recurring shapes, gathered batches, larger evaluations."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from emotion_lit.cli import main
from emotion_lit.data.device_rows import DeviceRows
from emotion_lit.model.network import Network
from emotion_lit.utils import device_memory, platforms
from tests.conftest import SMALL

BYTES_PER_TOKEN = 100


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[bool, int, int]]:
    """Takes the CPU for a GPU with memory for 5,000 tokens; counts the shapes of batches, with and without gradient."""
    shapes: Counter[tuple[bool, int, int]] = Counter()
    sizes: list[int] = []
    forward = Network.forward

    def counted(self: Network, input_ids: Tensor, *more: Any) -> Tensor:
        shapes[(torch.is_grad_enabled(), *input_ids.shape)] += 1
        sizes.append(input_ids.numel())
        return forward(self, input_ids, *more)

    def used_by(run: Callable[[], Any], device: torch.device) -> int:
        run()
        return BYTES_PER_TOKEN * sizes[-1]

    monkeypatch.setattr(Network, "forward", counted)
    monkeypatch.setattr(device_memory, "free", lambda _: 2 * 5000 * BYTES_PER_TOKEN)
    monkeypatch.setattr(device_memory, "used_by", used_by)
    monkeypatch.setattr(platforms, "has_cost_per_shape", lambda _: True)
    return shapes


def fit(folder: Path, *more: str) -> Path:
    main(["fit", *SMALL, "--model.tuning=full", f"--trainer.default_root_dir={folder}", *more])
    return folder / "emotion" / "version_0"


def test_a_run_has_few_shapes_and_the_scores_of_one_on_a_cpu(
    gpu: Counter[tuple[bool, int, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gathered: list[int] = []
    batch = DeviceRows.batch

    def counted(self: DeviceRows, rows: Any, length: int) -> Any:
        gathered.append(len(rows))
        return batch(self, rows, length)

    monkeypatch.setattr(DeviceRows, "batch", counted)
    run = fit(tmp_path / "gpu", "--data.tokens_per_batch=auto", "--trainer.precision=32-true")
    assert sum(gathered) > 2 * 140 + 3 * 42
    training = {shape[1:] for shape in gpu if shape[0]}
    scoring = {shape[1:] for shape in gpu if not shape[0]}
    assert 1 < len(training) <= 24
    assert max(rows * length for rows, length in training) <= 1024
    assert max(rows * length for rows, length in scoring) > 1024
    monkeypatch.undo()
    plain = fit(tmp_path / "cpu", "--trainer.precision=32-true")
    tables = [pd.read_parquet(one / "predictions.parquet") for one in (run, plain)]
    before = [column for column in tables[0].columns if "before" in column and tables[0][column].dtype.kind == "f"]
    assert before
    np.testing.assert_allclose(tables[0][before], tables[1][before], atol=1e-5)


def test_predictions_have_few_shapes_and_are_those_of_a_cpu(
    gpu: Counter[tuple[bool, int, int]], tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join("so " * (1 + 7 * row % 23) + "happy" for row in range(300)))
    words = ["predict", f"--ckpt_path={tiny_run}", f"--data.predict_path={texts}", "--data.tokens_per_batch=auto"]
    monkeypatch.setattr("emotion_lit.data.streaming.WINDOW", 64)
    gpu.clear()
    main([*words, f"--prediction.path={tmp_path / 'gpu.csv'}"])
    shapes = {(rows, length): count for (_, rows, length), count in gpu.items()}
    probe = (4096 // 128, 128)
    assert len(set(shapes) - {probe}) < sum(shapes.values()) / 2
    assert len({length for _, length in shapes}) == len(shapes) <= 24  # each length has one number of rows
    monkeypatch.undo()
    main([*words, f"--prediction.path={tmp_path / 'cpu.csv'}"])
    found, expected = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("gpu", "cpu"))
    pd.testing.assert_frame_equal(found, expected, atol=1e-5)
