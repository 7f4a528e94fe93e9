"""Prediction against transformers' pipeline: the same model and texts, whole processes from file to file.

python -m tests.benchmarks.prediction --ckpt-path logs/quickstart/version_0/checkpoints/best.ckpt --rows 4000
"""

import argparse
import csv
import itertools
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from emotion_lit import EmotionDataModule
from emotion_lit.cli.export import export
from tests.benchmarks.turns import Measures, publish, ratios, run_module, spread, take_turns

PIPELINE = "transformers pipeline, fp32"
HALF_PIPELINE = "transformers pipeline, bf16"
OURS = {
    "emotion_lit, torch": ("--prediction.engine", "torch"),
    "emotion_lit, torch bf16": ("--prediction.engine", "torch", "--trainer.precision", "bf16-mixed"),
    "emotion_lit, onnx": ("--prediction.engine", "onnx"),
    "emotion_lit, auto": ("--prediction.engine", "auto"),
    "emotion_lit, auto with int8": ("--prediction.engine", "auto", "--prediction.quantize", "int8"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt-path", type=Path, required=True, help="A checkpoint with `cls` pooling, or its run.")
    parser.add_argument("--dataset", default="sample", help="Whose test texts to label.")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--source", help="Texts of this source alone, such as GoEmotions.")
    parser.add_argument("--engines", nargs="+", choices=list(OURS), default=list(OURS))
    parser.add_argument("--output", help="A file for the JSON.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_texts(options.dataset, options.source, options.rows, folder / "texts.txt")
        export(options.ckpt_path, folder / "model")
        peers = {
            PIPELINE: lambda: _pipeline(folder, options.rows, "float32"),
            HALF_PIPELINE: lambda: _pipeline(folder, options.rows, "bfloat16"),
        }
        for ours in options.engines:
            peers[ours] = lambda engine=OURS[ours]: _ours(folder, options.ckpt_path, engine, options.rows)  # type: ignore[misc]
        results = take_turns(peers, options.rounds)
    rows = [["", "texts/s", "times the pipeline", "same labels"]]
    for ours, measured in results.items():
        faster = [1 / ratio for ratio in ratios(results, ours, PIPELINE, "texts_per_second")]
        rows.append(
            [
                ours,
                spread([one["texts_per_second"] for one in measured], 0),
                "" if ours == PIPELINE else spread(faster),
                f"{measured[-1]['same_labels']:.2%}",
            ]
        )
    publish("prediction", rows, results, options.output)


def write_texts(dataset: str, source: str | None, rows: int, file: Path) -> None:
    data = EmotionDataModule(dataset, sources=[source] if source else None)
    found = [text for split in ("test", "validation", "train") for text in data.rows(split).texts]
    texts = [" ".join(text.split()) for text in found]
    file.write_text("\n".join(itertools.islice(itertools.cycle(texts), rows)) + "\n", encoding="utf-8")


def _labels(file: Path) -> list[str]:
    with file.open(newline="", encoding="utf-8") as lines:
        return [row["label"] for row in csv.DictReader(lines)]


def _pipeline(folder: Path, rows: int, dtype: str) -> Measures:
    files = ("--model", str(folder / "model"), "--texts", str(folder / "texts.txt"))
    labels = folder / f"{dtype}.csv"
    out, seconds = run_module("tests.benchmarks.pipeline", *files, "--labels", str(labels), "--dtype", dtype)
    peak: float = json.loads(out.strip().splitlines()[-1])["peak_memory_mb"]
    return {
        "texts_per_second": rows / seconds,
        "seconds": seconds,
        "peak_memory_mb": peak,
        "same_labels": _agreement(folder, labels),
    }


def _agreement(folder: Path, labels: Path) -> float:
    """The share of the pipeline's labels in single precision that a file has."""
    pairs = list(zip(_labels(folder / "float32.csv"), _labels(labels), strict=True))
    return sum(theirs == ours for theirs, ours in pairs) / len(pairs)


def _ours(folder: Path, checkpoint: Path, engine: Sequence[str], rows: int) -> Measures:
    _, seconds = run_module(
        "emotion_lit",
        *("predict", "--ckpt_path", str(checkpoint.resolve()), *engine, "--prediction.overwrite", "true"),
        *("--data.predict_path", str(folder / "texts.txt"), "--prediction.path", str(folder / "ours.csv")),
    )
    same = _agreement(folder, folder / "ours.csv")
    return {"texts_per_second": rows / seconds, "seconds": seconds, "same_labels": same}


if __name__ == "__main__":
    main()
