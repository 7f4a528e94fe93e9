"""Classes of any name, and any number of them, are the same in data, checkpoint, predictions, exports and reports."""

import csv
import json
import resource
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import AutoConfig

from emotion_lit import EmotionClassifier, load
from emotion_lit.cli import main
from emotion_lit.errors import UserError
from emotion_lit.model.checkpoint import MODEL_KEY, read_checkpoint
from emotion_lit.utils.console_tables import markdown
from emotion_lit.utils.names import shown
from tests.conftest import failing

NAMES = [
    *("/s", "/j", "../x", "C:\\temp", "~", "a,b", 'say "hi"', "a\tb", "a\nb", "a\r\nb", "a|b", "\x01", "$x^2$"),
    *("<script>alert(1)</script>", "*_#`[x](y)", "=cmd|'/c calc'!A0", "%s {a}", "🥳", "é", "e\u0301", "שלום"),
    *("Joy", "joy", "text", "label", "id", "score", "note", "labels", "p_x", "uncertain", "all", "none"),
    *("1", "01", "1.0", "true", "null", "nan", "x" * 10_000, "x" * 9_999 + "y", "\u202eback"),
]
FEW = ["--model.tuning=head", "--model.pooling=cls", "--trainer.max_epochs=1", "--trainer.enable_progress_bar=false"]


def write(file: Path, names: list[str], rows: int) -> Path:
    records = [{"text": f"text {row} of it", "labels": names[row % len(names)]} for row in range(rows * len(names))]
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return file


def fit(folder: Path, backbone: Path, data: Path, *more: str) -> Path:
    root = f"--trainer.default_root_dir={folder}"
    main(["fit", f"--data.dataset={data}", f"--model.backbone={backbone}", *FEW, root, "--name=it", *more])
    return folder / "it" / "version_0"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path) -> Path:
    folder = tmp_path_factory.mktemp("names")
    labels = f"--data.labels={json.dumps(NAMES, ensure_ascii=False)}"  # else "Joy" and "joy" are one, "nan" is none
    return fit(folder, tiny_backbone, write(folder / "data.jsonl", NAMES, 6), "--data.seed=1", labels)


def test_the_checkpoint_and_the_report_have_them(run: Path) -> None:
    names = read_checkpoint(run)[MODEL_KEY]["labels"]
    assert sorted(names) == sorted(NAMES)
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    assert list(report["after"]["per_class"]) == names == report["confusion"]["labels"]
    assert set(pq.read_table(run / "predictions.parquet")["label"].to_pylist()) <= set(names)


@pytest.mark.figures
def test_pages_stay_whole(run: Path) -> None:
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    lines = (run / "report.md").read_text(encoding="utf-8").splitlines()
    name = markdown(shown("a\nb"))
    assert sum(line.startswith(f"| {name} |") for line in lines) == 2  # its scores and its rows
    assert max(map(len, lines)) < 2000
    for figure in (run / "figures").glob("*.svg"):
        ElementTree.parse(figure)  # noqa: S314, our own
    main(["report", str(run)])


def test_tensorboard_has_a_curve_and_a_row_of_the_projector_for_each(run: Path) -> None:
    events = EventAccumulator(str(run), size_guidance={"tensors": 0}).Reload()
    curves = [tag for tag in events.Tags()["tensors"] if tag.startswith("validation/")]
    assert len(curves) == 40  # the most frequent ones
    (metadata,) = run.glob("*/validation/metadata.tsv")
    (vectors,) = run.glob("*/validation/tensors.tsv")
    assert len(metadata.read_bytes().decode().splitlines()) == 1 + len(vectors.read_text().splitlines())


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_predictions_have_them(suffix: str, run: Path, texts_file: Path, tmp_path: Path) -> None:
    out = tmp_path / f"out{suffix}"
    main(["predict", f"--ckpt_path={run}", f"--data.predict_path={texts_file}", f"--prediction.path={out}"])
    expected = [one.label for one in load(run)(texts_file.read_text().splitlines())]
    rows: list[dict[str, Any]]
    if suffix == ".csv":
        with out.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    elif suffix == ".jsonl":
        rows = [json.loads(line) for line in out.read_text(encoding="utf-8").split("\n") if line]
    else:
        rows = pq.read_table(out).to_pylist()
    assert [row["label"] for row in rows] == expected
    assert [name[2:] for name in rows[0] if name.startswith("p_")] == load(run).labels


def test_exports_have_them(run: Path, tmp_path: Path) -> None:
    main(["export", f"--ckpt_path={run}", f"--output={tmp_path / 'hf'}"])
    labels = load(run).labels
    config = AutoConfig.from_pretrained(tmp_path / "hf")
    assert [config.id2label[place] for place in range(len(labels))] == labels == load(tmp_path / "hf").labels
    assert load(tmp_path / "hf")("what a day!").label == load(run)("what a day!").label


def test_several_labels_with_bars_are_told_apart(tiny_backbone: Path, tmp_path: Path, texts_file: Path) -> None:
    names = ["a|b", "a", "[c]", "d\ne"]
    data = tmp_path / "data.jsonl"
    rows = [{"text": f"text {row}", "labels": [names[row % 4], names[(row + 1) % 4]]} for row in range(60)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = fit(tmp_path, tiny_backbone, data, "--data.multi_label=true", "--model.threshold=0.01")
    out = tmp_path / "out.csv"
    main(["predict", f"--ckpt_path={run}", f"--data.predict_path={texts_file}", f"--prediction.path={out}"])
    with out.open(newline="", encoding="utf-8") as file:
        assert all(sorted(json.loads(row["labels"])) == sorted(names) for row in csv.DictReader(file))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", "b\ud800"], r"the label 'b\\ud800' has a character that cannot be written"),
        (["a", "b\0"], r"the label 'b\\x00' has a character that cannot be written"),
        (["a", " "], "a label is ' ', which is invisible"),
        (["a", ""], "a label is ''"),
        (["a", "b", "a"], "a label is named twice: a"),
        (["a", True], "the label True is not a string"),
        ([f"label {place % 1999}" for place in range(2000)], "a label is named twice: label 0"),
    ],
)
def test_what_is_no_name_is_refused(names: list[Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        EmotionClassifier(names)


def test_half_a_character_in_data_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write(tmp_path / "data.jsonl", ["a", "b\ud800"], 10)
    line = failing(capsys, "fit", f"--data.dataset={data}", "--model.backbone=embedded", "--model.tuning=head")
    assert "'b\\ud800' has a character that cannot be written" in line


@pytest.mark.figures
@pytest.mark.parametrize("count", [300, pytest.param(2000, marks=pytest.mark.slow)])
def test_many_labels(count: int, tiny_backbone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    data = write(tmp_path / "data.jsonl", [f"label {place}" for place in range(count)], 10)
    run = fit(tmp_path, tiny_backbone, data)
    assert len(json.loads((run / "report.json").read_text())["after"]["per_class"]) == count
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 3 * 2**20  # KiB
    assert f"of {count:,} classes" in (run / "figures" / "confusion.svg").read_text()
    assert (run / "figures" / "confusion.svg").stat().st_size < 2**20
    assert f"... {count - 40:,} more, in the report" in capsys.readouterr().err
