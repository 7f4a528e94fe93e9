"""Devices and strategies that a machine does not have, each with a pretended machine."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator

from emotion_lit.errors import UserError
from emotion_lit.training.devices import check_devices
from emotion_lit.utils import platforms
from tests.conftest import SMALL, failing

TOO_OLD = (
    "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver by downloading "
    "and installing a new version from the URL: http://www.nvidia.com/Download/index.aspx"
)


def pretend_gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(CUDAAccelerator, "is_available", staticmethod(lambda: count > 0))


@pytest.mark.parametrize("devices", [4, "4", [3], "0,3", (1, 3)])
def test_more_gpus_than_there_are(monkeypatch: pytest.MonkeyPatch, devices: Any) -> None:
    pretend_gpus(monkeypatch, 1)
    with pytest.raises(UserError, match=r"but this process has 1 GPU \(cuda\); leave it out"):
        check_devices("auto", devices)
    pretend_gpus(monkeypatch, 4)
    check_devices("gpu", devices)


@pytest.mark.parametrize("devices", ["auto", -1, "-1", 1, "1", [0], "0,"])
def test_devices_that_one_gpu_has(monkeypatch: pytest.MonkeyPatch, devices: Any) -> None:
    pretend_gpus(monkeypatch, 1)
    check_devices("cuda", devices)


def test_several_devices_of_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(MPSAccelerator, "is_available", staticmethod(lambda: True))
    with pytest.raises(UserError, match=r"trainer.devices is 2, but this process has 1 GPU \(mps\)"):
        check_devices("mps", 2)


@pytest.mark.parametrize("accelerator", ["gpu", "cuda", "mps"])
def test_no_such_device(accelerator: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if platforms.device_type(accelerator) != "cpu":
        pytest.skip("this machine has one")
    words = ["fit", *SMALL, f"--trainer.accelerator={accelerator}", f"--trainer.default_root_dir={tmp_path}"]
    assert f"trainer.accelerator is {accelerator}, but PyTorch finds no such device" in failing(capsys, *words)
    assert not list(tmp_path.glob("*/*"))


def pretend_old_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def init() -> None:
        raise RuntimeError(TOO_OLD)

    pretend_gpus(monkeypatch, 0)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "init", init)


def test_a_driver_that_is_too_old(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pretend_old_driver(monkeypatch)
    with pytest.raises(UserError) as error:
        check_devices("gpu", "auto")
    assert "finds no such device: The NVIDIA driver on your system is too old (found version 11040)" in str(error.value)
    check_devices("auto", "auto")
    said = capsys.readouterr().err
    assert "the CPU is used instead of the NVIDIA GPU: The NVIDIA driver on your system is too old" in said
    check_devices("cpu", 2)
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("fsdp", "trainer.strategy is fsdp, which shards a model over CUDA GPUs, and PyTorch finds none here"),
        ("deepspeed_stage_2", "trainer.strategy is deepspeed_stage_2, which cannot train this model; leave it out"),
        ("fsdp_cpu_offload", "trainer.strategy is fsdp_cpu_offload, which cannot train this model"),
        (
            "lightning.pytorch.strategies.FSDPStrategy",
            "strategy is FSDPStrategy, which cannot train this model",
        ),
        ("lightning.pytorch.strategies.ModelParallelStrategy", "ModelParallelStrategy, which cannot train this model"),
    ],
)
def test_strategies_that_cannot_work(
    strategy: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["fit", *SMALL, f"--trainer.strategy={strategy}", "--trainer.accelerator=cpu"]
    assert message in failing(capsys, *words, f"--trainer.default_root_dir={tmp_path}")
    assert not list(tmp_path.glob("*/*"))
