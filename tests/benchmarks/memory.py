"""Peak memory of `predict` by the number of rows, each in a process of its own: it should stay the same.

A BERT of one narrow layer labels, because it is the stream that is measured; its weights are random.

python -m tests.benchmarks.memory --rows 10000 100000 2000000
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from transformers import AutoTokenizer, BertConfig, BertModel

from emotion_lit.cli import main as emotion_lit
from emotion_lit.model.backbone import locate
from tests.benchmarks.turns import ROOT, Measures, publish, take_turns

PROGRAM = """
import sys
from emotion_lit.cli import main
from emotion_lit.utils.memory import peak_memory_mb
main(sys.argv[1:])
print(peak_memory_mb())
"""
WORDS = "what a day it was and nobody came to see how we all felt about that".split()  # noqa: SIM905, a sentence


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--output", help="A file for the JSON.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _train_narrow(folder)
        peers = {f"{rows:,} rows": lambda rows=rows: _predict(folder, rows) for rows in options.rows}
        results = take_turns(peers, options.rounds)
    rows = [["", "peak MiB", "rows/s"]]
    rows += [
        [peer, f"{max(one['peak_memory_mb'] for one in found):,.0f}", f"{found[-1]['rows_per_second']:,.0f}"]
        for peer, found in results.items()
    ]
    publish("memory", rows, results, options.output)


def _train_narrow(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(locate("embedded"))
    tokenizer.save_pretrained(folder / "narrow")
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    BertModel(config).save_pretrained(folder / "narrow")
    settings = [f"--model.backbone={folder / 'narrow'}", "--model.tuning=full", f"--trainer.default_root_dir={folder}"]
    emotion_lit(["fit", "--data.dataset=sample", "--trainer.max_epochs=1", "--name=narrow", *settings])


def _predict(folder: Path, rows: int) -> Measures:
    texts, draw = folder / "texts.txt", random.Random(0)
    with texts.open("w", encoding="utf-8") as file:
        file.writelines(" ".join(draw.choices(WORDS, k=draw.randint(2, 30))) + "\n" for _ in range(rows))
    words = [f"--ckpt_path={folder / 'narrow' / 'version_0'}", f"--data.predict_path={texts}"]
    command = [sys.executable, "-c", PROGRAM, "predict", *words, f"--prediction.path={folder / 'labels.csv'}"]
    start = time.perf_counter()
    done = subprocess.run([*command, "--prediction.overwrite=true"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    with (folder / "labels.csv").open(encoding="utf-8") as file:
        assert sum(1 for _ in file) == rows + 1
    peak = json.loads(done.stdout.strip().splitlines()[-1])
    return {"peak_memory_mb": peak, "rows_per_second": rows / (time.perf_counter() - start)}


if __name__ == "__main__":
    main()
