"""The cost of a start: help, loading a model, and the prediction of one row, each in a process of its own.

Each is compared with the import of torch and transformers' BERT, in processor time and in elapsed time.

python -m tests.benchmarks.startup --ckpt-path logs/quickstart/version_0/checkpoints/best.ckpt
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.turns import ROOT, Measures, publish, ratios, spread, take_turns

IMPORT = "import torch, transformers; from transformers import BertForSequenceClassification"
LOAD = "import sys; from emotion_lit import load; load(sys.argv[1])('what a day!')"
REFERENCE = "import torch and transformers' BERT"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt-path", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", help="Parts of the names of what to measure; by default all.")
    parser.add_argument("--output", help="A file for the JSON.")
    options = parser.parse_args()
    checkpoint = str(options.ckpt_path.resolve())
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder) / "texts.txt"
        texts.write_text("what a day!\n", encoding="utf-8")
        files = ["--data.predict_path", str(texts), "--prediction.path", f"{folder}/labels.csv"]
        files += ["--prediction.overwrite", "true"]
        commands = {
            "load and label one text": ["-c", LOAD, checkpoint],
            "predict of one row": ["-m", "emotion_lit", "predict", "--ckpt_path", checkpoint, *files],
            "--help": ["-m", "emotion_lit", "--help"],
            "fit --help": ["-m", "emotion_lit", "fit", "--help"],
            "import transformers.pipeline": ["-m", "tests.benchmarks.pipeline", "--help"],
        }
        chosen = {name: words for name, words in commands.items() if _is_wanted(name, options.only)}
        chosen = {REFERENCE: ["-c", IMPORT], **chosen}
        peers = {name: lambda words=words: _timed(words) for name, words in chosen.items()}
        results = take_turns(peers, options.rounds)
    rows = [["", "processor seconds", "times the import", "elapsed seconds", "times the import"]]
    for name, measures in results.items():
        row = [name]
        for key in ("processor_seconds", "seconds"):
            row.append(spread([one[key] for one in measures]))
            row.append(spread(ratios(results, REFERENCE, name, key)))
        rows.append(row)
    publish("startup", rows, results, options.output)


def _is_wanted(name: str, parts: list[str] | None) -> bool:
    return not parts or any(part in name for part in parts)


def _timed(words: list[str]) -> Measures:
    """The time of a command, in a process of its own."""
    before, start = os.times(), time.perf_counter()
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    seconds, after = time.perf_counter() - start, os.times()
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr[-3000:]}")
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return {"processor_seconds": processor, "seconds": seconds}


if __name__ == "__main__":
    main()
