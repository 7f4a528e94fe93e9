"""Prediction against transformers' pipeline: the same model and texts, whole processes from file to file.

python -m tests.benchmarks.prediction --ckpt-path logs/quickstart/version_0/checkpoints/best.ckpt --rows 4000
"""

import argparse
import csv
import itertools
import json
import tempfile
from pathlib import Path

from emotion_lit import EmotionDataModule, load
from tests.benchmarks.turns import Measures, publish, ratios, run_module, spread, take_turns

PIPELINE = "transformers pipeline, fp32"
OURS = {"emotion_lit, fp32": "32-true", "emotion_lit, bf16": "bf16-mixed"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt-path", type=Path, required=True, help="A checkpoint with `cls` pooling.")
    parser.add_argument("--dataset", default="sample", help="Whose test texts to label.")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", help="A file for the JSON.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_texts(options.dataset, options.rows, folder / "texts.txt")
        _write_model(options.ckpt_path, folder / "model")
        peers = {PIPELINE: lambda: _pipeline(folder, options.rows)}
        for ours, precision in OURS.items():
            peers[ours] = lambda precision=precision: _ours(folder, options.ckpt_path, precision, options.rows)  # type: ignore[misc]
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


def _write_texts(dataset: str, rows: int, file: Path) -> None:
    texts = [" ".join(text.split()) for text in EmotionDataModule(dataset).rows("test").texts]
    file.write_text("\n".join(itertools.islice(itertools.cycle(texts), rows)) + "\n", encoding="utf-8")


def _write_model(checkpoint: Path, folder: Path) -> None:
    model = load(checkpoint, device="cpu").model
    assert model.network is not None
    if model.pooling != "cls" or model.tuning != "full":
        raise SystemExit("transformers can load a `full` checkpoint with `cls` pooling; give one of these")
    model.network.body.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)


def _labels(file: Path) -> list[str]:
    with file.open(newline="", encoding="utf-8") as lines:
        return [row["label"] for row in csv.DictReader(lines)]


def _pipeline(folder: Path, rows: int) -> Measures:
    files = ("--model", str(folder / "model"), "--texts", str(folder / "texts.txt"))
    out, seconds = run_module("tests.benchmarks.pipeline", *files, "--labels", str(folder / "theirs.csv"))
    peak: float = json.loads(out.strip().splitlines()[-1])["peak_memory_mb"]
    return {"texts_per_second": rows / seconds, "seconds": seconds, "peak_memory_mb": peak, "same_labels": 1.0}


def _ours(folder: Path, checkpoint: Path, precision: str, rows: int) -> Measures:
    _, seconds = run_module(
        "emotion_lit",
        *("predict", "--ckpt_path", str(checkpoint.resolve()), "--trainer.precision", precision),
        *("--data.predict_path", str(folder / "texts.txt"), "--prediction.path", str(folder / "ours.csv")),
    )
    pairs = list(zip(_labels(folder / "theirs.csv"), _labels(folder / "ours.csv"), strict=True))
    same = sum(theirs == ours for theirs, ours in pairs) / len(pairs)
    return {"texts_per_second": rows / seconds, "seconds": seconds, "same_labels": same}


if __name__ == "__main__":
    main()
