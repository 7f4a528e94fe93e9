"""The precision of a run is the one that is faster here, whatever the processor says about itself."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping

import pytest
import torch

from emotion_lit.model import precision
from tests.conftest import ROOT


def chosen(**env: str) -> str:
    code = "from emotion_lit.model.precision import native_precision; print(native_precision('cpu'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.strip()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="holds oneDNN to AVX2, on Linux")
def test_bfloat16_that_the_library_cannot_use_is_not_taken() -> None:
    assert chosen(ONEDNN_MAX_CPU_ISA="AVX2") == "32-true"


def test_measuring_takes_a_moment() -> None:
    precision.native_precision.cache_clear()
    precision.native_precision("cpu")  # what is done once in a process
    precision.native_precision.cache_clear()
    start = time.perf_counter()
    precision.native_precision("cpu")
    assert time.perf_counter() - start < 2  # 0.3 s, on a machine that does nothing else


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({"32-true": 1.0, "bf16-mixed": 0.4}, "bf16-mixed"),
        ({"32-true": 1.0, "bf16-mixed": 0.95}, "32-true"),
        ({"32-true": 1.0, "bf16-mixed": 9.0}, "32-true"),
        ({"32-true": 1.0, "bf16-mixed": 2.0, "16-mixed": 0.2}, "16-mixed"),  # a T4
        ({"32-true": 1.0, "bf16-mixed": 0.3, "16-mixed": 0.29}, "bf16-mixed"),
    ],
)
def test_the_faster_one_is_taken(monkeypatch: pytest.MonkeyPatch, seconds: Mapping[str, float], expected: str) -> None:
    monkeypatch.setattr(precision, "_measure", lambda device: dict(seconds))
    precision.native_precision.cache_clear()
    assert precision.native_precision("cuda" if "16-mixed" in seconds else "cpu") == expected
    precision.native_precision.cache_clear()


def test_measuring_leaves_no_trace() -> None:
    precision.native_precision.cache_clear()
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    precision.native_precision("cpu")
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
