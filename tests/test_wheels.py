"""Whether the pinned packages with compiled parts can be installed elsewhere, asked of the package index."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

# Everything else is pure Python.
COMPILED = (
    *("torch", "tokenizers", "pyarrow", "numpy", "scipy", "scikit-learn", "matplotlib", "safetensors", "xxhash"),
    *("onnx", "onnxruntime", "psutil", "grpcio", "pandas", "ray", "msgpack"),
)
# What pip calls each system that the README promises.
SYSTEMS = {
    "linux x86_64": [f"manylinux_2_{minor}_x86_64" for minor in range(17, 35)] + ["manylinux2014_x86_64"],
    "linux aarch64": [f"manylinux_2_{minor}_aarch64" for minor in range(17, 35)] + ["manylinux2014_aarch64"],
    "macOS 14 arm64": [f"macosx_{major}_0_arm64" for major in range(11, 15)],
    "windows x64": ["win_amd64"],
}
VERSIONS = ("3.11", "3.12", "3.13", "3.14")


@pytest.mark.slow
@pytest.mark.skipif(
    "EMOTION_LIT_ASK_INDEX" not in os.environ, reason="asks the package index 16 times; set EMOTION_LIT_ASK_INDEX"
)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_the_constraints_resolve(system: str, version: str, tmp_path: Path) -> None:
    platforms = [word for name in SYSTEMS[system] for word in ("--platform", name)]
    words = ["install", "--dry-run", "--ignore-installed", "--no-deps", "--only-binary=:all:", "--quiet"]
    words += ["--target", str(tmp_path), "--python-version", version, "-c", "constraints.txt", *platforms]
    command = [sys.executable, "-m", "pip", *words, *COMPILED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
