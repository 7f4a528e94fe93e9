import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from emotion_lit.model import precision
from emotion_lit.model.precision import BFLOAT, HALF, SINGLE, choose_precision, native_precision
from emotion_lit.utils import platforms
from tests.conftest import ROOT

SAYS = "from emotion_lit.model.precision import native_precision; print(native_precision('cpu'))"


def settings(accelerator: str = "auto", chosen: str | None = None, devices: Any = "auto") -> SimpleNamespace:
    return SimpleNamespace(accelerator=accelerator, precision=chosen, devices=devices)


def pretend(monkeypatch: pytest.MonkeyPatch, device: str, seconds: dict[str, float]) -> None:
    monkeypatch.setattr(platforms, "device_type", lambda _: device)
    monkeypatch.setattr(precision, "_measure", lambda _: seconds)
    monkeypatch.setattr(precision, "native_precision", native_precision.__wrapped__)


def test_a_flag_that_promises_bfloat16_is_not_believed() -> None:
    held = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    done = subprocess.run([sys.executable, "-c", SAYS], cwd=ROOT, env=held, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == SINGLE


@pytest.mark.skipif(
    not torch.cpu._is_avx512_bf16_supported() or "ONEDNN_MAX_CPU_ISA" in os.environ, reason="needs bfloat16 in hardware"
)
def test_bfloat16_in_hardware_is_found_every_time() -> None:
    assert {native_precision.__wrapped__("cpu") for _ in range(5)} == {BFLOAT}


def test_measuring_leaves_no_trace() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    native_precision.__wrapped__("cpu")
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [
        ({SINGLE: 8.0, BFLOAT: 9.0, HALF: 1.0}, HALF),  # a T4
        ({SINGLE: 8.0, BFLOAT: 1.1, HALF: 1.0}, BFLOAT),
        ({SINGLE: 4.15, BFLOAT: 0.66, HALF: 0.48}, BFLOAT),  # an H200
        ({SINGLE: 1.0, BFLOAT: 2.0, HALF: 2.0}, SINGLE),
    ],
)
def test_a_gpu_takes_what_is_fast_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], seconds: dict[str, float], wanted: str
) -> None:
    pretend(monkeypatch, "cuda", seconds)
    assert choose_precision("fit", settings()) == wanted
    assert ("--trainer.precision" in capsys.readouterr().err) == (wanted == HALF)
    assert choose_precision("predict", settings()) == SINGLE


def test_a_mac_takes_single_precision() -> None:
    assert native_precision("mps") == SINGLE


def test_what_is_set_stays_and_half_precision_without_a_gpu_is_changed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, "cpu", {SINGLE: 2.0, BFLOAT: 1.0})
    assert choose_precision("fit", settings(chosen=SINGLE)) == SINGLE
    assert choose_precision("fit", settings(chosen=HALF)) == BFLOAT
    assert "using bf16-mixed on this cpu" in capsys.readouterr().err


def test_a_notebook_with_several_gpus_is_not_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, "cuda", {})  # which would fail
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    assert choose_precision("fit", settings(devices=2)) == SINGLE
    assert "several GPUs in a notebook" in capsys.readouterr().err
