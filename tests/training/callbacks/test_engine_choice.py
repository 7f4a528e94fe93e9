import csv
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

from emotion_lit.cli import main
from emotion_lit.errors import UserError
from emotion_lit.inference.lora_merge import merged_network
from emotion_lit.inference.onnx_engine import OnnxEngine
from emotion_lit.inference.onnx_export import write_onnx
from emotion_lit.model import half_weights
from emotion_lit.model.checkpoint import read_checkpoint
from emotion_lit.model.factory import restore
from emotion_lit.model.half_weights import PackedLinear
from emotion_lit.model.network import Network
from emotion_lit.utils.checksums import append_checksum
from tests.conftest import ROOT, failing, leave_out_figures
from tests.faults.kills import SMALL

SAMPLE = ROOT / "emotion_lit/data/sample/train.jsonl"
Rows = list[dict[str, str]]
ONNX = "--prediction.engine=onnx"


@pytest.fixture(scope="module")
def tiny(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a tiny model."""
    folder = tmp_path_factory.mktemp("tiny")
    words = [f"--model.backbone={tiny_backbone}", "--model.tuning=head", "--model.head_learning_rate=3e-2"]
    with pytest.MonkeyPatch.context() as patch:
        leave_out_figures(patch)
        main(["fit", *SMALL, *words, f"--trainer.default_root_dir={folder}", "--name=tiny"])
    return folder / "tiny" / "version_0"


@pytest.fixture(scope="module")
def ours(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """What PyTorch predicts with it."""
    rows = predict(tiny, tmp_path_factory.mktemp("ours") / "torch.csv")
    assert len({row["label"] for row in rows}) > 1
    return rows


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first rows of the sample."""
    file = tmp_path_factory.mktemp("some") / "in.jsonl"
    file.write_text("".join(SAMPLE.read_text().splitlines(keepends=True)[:400]))
    return file


def same(found: Rows, ours: Rows) -> bool:
    """Whether rows are those of PyTorch, but for the last digits."""
    pairs = list(zip(found, ours, strict=False))
    close = all(float(one["p_Joy"]) == pytest.approx(float(two["p_Joy"]), abs=1e-5) for one, two in pairs)
    return bool(pairs) and close and [one["label"] for one, _ in pairs] == [two["label"] for _, two in pairs]


def predict(run: Path, target: Path, *more: str, source: Path = SAMPLE) -> Rows:
    main(["predict", f"--ckpt_path={run}", f"--data.predict_path={source}", f"--prediction.path={target}", *more])
    with target.open(newline="") as file:
        return list(csv.DictReader(file))


def test_onnx_says_what_torch_says(tiny: Path, tmp_path: Path) -> None:
    ours = predict(tiny, tmp_path / "torch.csv")
    others = predict(tiny, tmp_path / "onnx.csv", "--prediction.engine=onnx")
    assert [row["label"] for row in ours] == [row["label"] for row in others]
    for one, two in zip(ours, others, strict=True):
        assert float(one["p_Joy"]) == pytest.approx(float(two["p_Joy"]), abs=1e-5)
    made = list((tiny / "checkpoints" / "best.onnx").iterdir())
    before = made[0].stat().st_mtime_ns
    predict(tiny, tmp_path / "again.csv", "--prediction.engine=onnx")
    assert made[0].stat().st_mtime_ns == before


def test_int8_is_used_only_where_it_agrees(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    int8 = ("--prediction.engine=onnx", "--prediction.quantize=int8")
    exact = predict(tiny, tmp_path / "onnx.csv", "--prediction.engine=onnx")
    monkeypatch.setattr("emotion_lit.inference.engine_selection.SAME_LABELS", 1.01)
    refused = predict(tiny, tmp_path / "refused.csv", *int8)
    assert "onnx int8 is not used: " in capsys.readouterr().err
    assert refused == exact
    monkeypatch.setattr("emotion_lit.inference.engine_selection.SAME_LABELS", 0.5)
    monkeypatch.setattr("emotion_lit.inference.engine_selection.MEAN_DIFFERENCE", 1.0)
    used = predict(tiny, tmp_path / "used.csv", *int8)
    assert "engine: onnx int8" in capsys.readouterr().err
    assert used != exact


def test_auto_measures_and_loses_no_row(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = predict(tiny, tmp_path / "auto.csv", "--prediction.engine=auto")
    assert [row["id"] for row in rows] == [str(row) for row in range(len(SAMPLE.read_text().splitlines()))]
    assert "engine: " in capsys.readouterr().err


def test_mixed_precision_casts_weights_once(
    tiny: Path, ours: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers: list[PackedLinear] = []

    def pack(*how: Any) -> PackedLinear:
        layers.append(PackedLinear(*how))
        return layers[-1]

    monkeypatch.setattr(half_weights, "PackedLinear", pack)
    rows = predict(tiny, tmp_path / "half.csv", "--trainer.precision=bf16-mixed")
    assert layers
    agree = sum(row["label"] == other["label"] for row, other in zip(rows, ours, strict=True))
    assert agree >= 0.97 * len(ours)
    made = len(layers)
    predict(tiny, tmp_path / "autocast.csv", "--trainer.precision=bf16-mixed", "--model.fast_paths=false")
    predict(tiny, tmp_path / "single.csv")
    assert len(layers) == made


def test_int8_needs_onnx(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("predict", f"--ckpt_path={tiny}", f"--data.predict_path={SAMPLE}", "--prediction.quantize=int8")
    assert "needs --prediction.engine onnx" in failing(capsys, *words)


def test_auto_has_nothing_to_try_on_an_input_without_texts(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": null}\n' * 1200)
    words = (f"--data.predict_path={tmp_path / 'in.jsonl'}", f"--prediction.path={tmp_path / 'out.csv'}")
    main(["predict", f"--ckpt_path={tiny}", *words, "--prediction.engine=auto"])
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 1201


def test_a_file_that_says_something_else_is_refused_and_made_anew(
    tiny: Path, ours: Rows, some: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert same(predict(tiny, tmp_path / "onnx.csv", ONNX, source=some), ours)
    said = capsys.readouterr().err
    assert "0 of 400 rows get a different label than with PyTorch in single precision" in said
    assert "at least 99.2% of all rows agree" in said
    file = onnx_of(tiny)
    falsify(file)
    assert same(predict(tiny, tmp_path / "lie.csv", ONNX, source=some), ours)
    said = capsys.readouterr().err
    assert "onnx is not used" in said
    assert "engine: torch" in said
    assert not file.exists()
    assert same(predict(tiny, tmp_path / "again.csv", ONNX, source=some), ours)
    assert "engine: onnx" in capsys.readouterr().err


def test_the_fastest_engine_is_not_its_own_reference(
    tiny: Path, ours: Rows, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emotion_lit.inference.onnx_export._check", lambda *_: None)
    monkeypatch.setattr(OnnxEngine, "__call__", lambda engine, batch: torch.eye(7)[[0] * len(batch["input_ids"])])
    monkeypatch.setattr(
        "emotion_lit.inference.engine_selection._speed", lambda engine, _: float("Onnx" in repr(engine.engine))
    )
    assert same(predict(tiny, tmp_path / "auto.csv", "--prediction.engine=auto", "--trainer.precision=32-true"), ours)
    said = capsys.readouterr().err
    assert "onnx is not used: " in said
    assert "engine: torch" in said


FAULTS: dict[str, Callable[[Any, Any], Any]] = {
    "dies": lambda engine, batch: 1 / 0,
    "gives no numbers": lambda engine, batch: torch.full((len(batch["input_ids"]), 7), torch.nan),
    "has another shape": lambda engine, batch: torch.zeros(len(batch["input_ids"]), 3),
}


@pytest.mark.parametrize(
    ("fault", "later"),
    [
        ("dies", False),
        ("dies", True),
        ("gives no numbers", False),
        ("gives no numbers", True),
        ("has another shape", True),
    ],
)
def test_an_engine_that_fails_hands_over_to_torch(
    tiny: Path,
    ours: Rows,
    some: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    later: bool,
) -> None:
    monkeypatch.setattr("emotion_lit.data.streaming.WINDOW", 128)
    monkeypatch.setattr("emotion_lit.inference.onnx_export._check", lambda *_: None)
    call, calls = OnnxEngine.__call__, itertools.count()

    def failing_call(engine: OnnxEngine, batch: Any) -> Any:
        return (call if later and next(calls) < 30 else FAULTS[fault])(engine, batch)

    monkeypatch.setattr(OnnxEngine, "__call__", failing_call)
    assert same(predict(tiny, tmp_path / "onnx.csv", ONNX, "--data.tokens_per_batch=128", source=some), ours)
    lines = [line for line in capsys.readouterr().err.splitlines() if "is no" in line and " used: " in line]
    assert len(lines) == 1
    assert ("continuing with PyTorch" in lines[0]) == later


def test_an_engine_that_cannot_be_built_is_left(
    tiny: Path,
    ours: Rows,
    some: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def dies(*_: object) -> None:
        raise RuntimeError("no such\noperator")

    monkeypatch.setattr(OnnxEngine, "__init__", dies)
    assert same(predict(tiny, tmp_path / "onnx.csv", ONNX, source=some), ours)
    assert "onnx is not used: RuntimeError: no such operator" in capsys.readouterr().err


def test_what_was_written_wrong_is_not_kept(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = restore(read_checkpoint(tiny))
    monkeypatch.setattr("emotion_lit.inference.onnx_export.merged_network", lambda model: spoilt(merged_network(model)))
    with pytest.raises(UserError, match="its probabilities are off by up to"):
        write_onnx(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_run_that_goes_on_looks_at_its_engine_again(
    tiny: Path,
    ours: Rows,
    some: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("emotion_lit.data.streaming.WINDOW", 128)
    words = ["predict", f"--ckpt_path={tiny}", f"--data.predict_path={some}", ONNX, "--data.tokens_per_batch=128"]
    words.append(f"--prediction.path={tmp_path / 'out.csv'}")
    main([*words, "--trainer.limit_predict_batches=10"])
    assert "engine: onnx" in capsys.readouterr().err
    falsify(onnx_of(tiny))
    main(words)
    said = capsys.readouterr().err
    assert "128 rows are labeled already" in said
    assert "engine: torch" in said
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 400
    assert same(rows, ours)


def test_few_rows_prove_little(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "few.txt"
    source.write_text("".join(f"a few words and number {n}\n" for n in range(200)))
    words = ["predict", f"--ckpt_path={tiny}", f"--data.predict_path={source}", ONNX]
    main([*words, f"--prediction.path={tmp_path / 'exact.csv'}"])
    said = capsys.readouterr().err
    assert "0 of 200 rows" in said
    assert "at least 98.5% of all rows agree" in said
    assert "engine: onnx\n" in said  # the same numbers
    main([*words, f"--prediction.path={tmp_path / 'int8.csv'}", "--prediction.quantize=int8"])
    said = capsys.readouterr().err
    assert "onnx int8 is not used: " in said
    assert "at least 99% and" in said
    assert "engine: onnx\n" in said


def onnx_of(run: Path) -> Path:
    """Its ONNX file in single precision; another test may have made one with 8-bit weights next to it."""
    (file,) = (file for file in (run / "checkpoints" / "best.onnx").iterdir() if ".int8." not in file.name)
    return file


def falsify(file: Path) -> None:
    """Changes what a file says, and seals it again."""
    network = onnx.load(str(file))
    for weight in network.graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.ndim > 1:
            weight.CopyFrom(onnx.numpy_helper.from_array(-3 * values, weight.name))
    del network.metadata_props[:]
    onnx.save(network, str(file))
    append_checksum(file)


def spoilt(network: Network) -> Network:
    network.classifier.weight.data.mul_(1.5)
    return network
