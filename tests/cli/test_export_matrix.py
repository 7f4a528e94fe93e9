"""What an export says in every program that it is for: {tuning} x {labels} x {format} x {program}, equal or refused."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from emotion_lit import load
from emotion_lit.utils.console_tables import table
from tests.cli.conftest import Exported
from tests.cli.exports import SEVERAL, TEXTS, by_onnx, export, spread, stated, ways
from tests.conftest import Train, failing

FORMATS = ("hf", "adapter", "adapter merged", "onnx", "onnx int8")
PROGRAMS = ("pipeline", "AutoModel", "peft", "ONNX Runtime", "load", "predict")


@pytest.fixture(scope="module")
def matrix() -> Iterator[dict[str, list[str]]]:
    """What was found, printed at the end."""
    rows: dict[str, list[str]] = {}
    yield rows
    print("\n" + table([["", *PROGRAMS], *([name, *cells] for name, cells in rows.items())]))


def made(run: Path, tmp_path: Path, format: str, capsys: pytest.CaptureFixture[str]) -> Path | str:
    """The folder of an export, or the line that refuses it."""
    kind = format.split()[0]
    folder = tmp_path / kind
    if folder.is_dir():
        return folder
    try:
        return export(run, folder, kind)
    except SystemExit:
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1
        assert not folder.exists()
        return lines[0]


def check(
    run: Path, tiny_backbone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[tuple[str, list[str]]]:
    """Compares all exports of a run with it, in all programs."""
    model = load(run)
    readable = np.array([bool(text.strip()) for text in TEXTS])
    expected = np.concatenate([model.probabilities([text]).numpy() for text in TEXTS])
    assert np.ptp(expected[readable], axis=0).max() > 0.02  # else anything would be equal
    for format in FORMATS:
        folder = made(run, tmp_path, format, capsys)
        if isinstance(folder, str):
            yield format, ["refused"] * len(PROGRAMS)
            assert "export with --format onnx" in folder or "export it with --format hf" in folder
            continue
        if format == "onnx int8":
            cells = {}
            if (folder / "model_int8.onnx").is_file():
                found = by_onnx(folder, "model_int8.onnx", model.decision.multi_label)(TEXTS)
                same = np.mean(np.argmax(found, 1)[readable] == np.argmax(expected, 1)[readable])
                cells = {"ONNX Runtime": f"{same:.1%} same"}
                assert re.search(r"\d of (2,000|500) rows get a different label", (folder / "README.md").read_text())
            else:
                cells = {"ONNX Runtime": "not made"}
            yield format, [cells.get(program, "-") for program in PROGRAMS]
            continue
        cells = {}
        for program, use in ways(folder, format, tiny_backbone, tmp_path).items():
            for texts in (slice(None), slice(0, 7)):
                found, rows = use(TEXTS[texts]), readable[texts]
                assert found[rows] == pytest.approx(expected[texts][rows], abs=1e-4), (format, program)
                if program in ("load", "predict"):
                    assert np.isnan(found[~rows]).all()
            cells[program] = f"{np.abs(use(TEXTS) - expected)[readable].max():.0e}" if program != "predict" else "equal"
        yield format, [cells.get(program, "-") for program in PROGRAMS]


def test_the_exports_of_an_adapter_with_several_labels(
    exported: Exported, tiny_backbone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, exports = exported(True)
    for kind in ("hf", "adapter", "onnx"):
        shutil.copytree(exports / kind, tmp_path / kind)
    found = dict(check(run, tiny_backbone, tmp_path, capsys))
    assert set(found) == set(FORMATS)
    assert all("refused" not in cells for cells in found.values())
    assert stated(tmp_path / "hf")["thresholds"] == [0.3] * 7


@pytest.mark.slow
@pytest.mark.parametrize("several", [False, True], ids=["one", "several"])
@pytest.mark.parametrize("tuning", ["head", "lora", "full"])
def test_every_export(
    train: Train,
    tiny_backbone: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    matrix: dict[str, list[str]],
    tuning: str,
    several: bool,
) -> None:
    run = spread(train(f"--model.tuning={tuning}", *(SEVERAL if several else ())), tmp_path / "run" / "version_0")
    for format, cells in check(run, tiny_backbone, tmp_path, capsys):
        matrix[f"{tuning}, {'several' if several else 'one'}, {format}"] = cells


def test_an_export_predicts_and_does_nothing_else(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], texts_file: Path
) -> None:
    folder = export(tiny_run, tmp_path / "hf", "hf")
    for command in ("test", "fit", "export"):
        more = [f"--output={tmp_path / 'x'}"] if command == "export" else []
        assert "is an export, which `predict` and `load` take" in failing(
            capsys, command, f"--ckpt_path={folder}", *more
        )
    asked = ("predict", f"--ckpt_path={folder}", f"--data.predict_path={texts_file}", "--prediction.engine=onnx")
    assert "which PyTorch computes" in failing(capsys, *asked)
    assert "at most 128 tokens" in failing(capsys, *asked[:3], "--data.max_length=300")
