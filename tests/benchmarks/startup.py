"""What a command costs before it does anything: help, and the prediction of one row, each in a process of its own.

python -m tests.benchmarks.startup --ckpt-path logs/quickstart/version_0/checkpoints/best.ckpt
"""

import argparse
import tempfile
from pathlib import Path

from tests.benchmarks.turns import Measures, publish, run_module, spread, take_turns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt-path", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", help="A file for the JSON.")
    options = parser.parse_args()
    checkpoint = str(options.ckpt_path.resolve())
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder) / "texts.txt"
        texts.write_text("what a day!\n", encoding="utf-8")
        files = ["--data.predict_path", str(texts), "--prediction.path", f"{folder}/labels.csv"]
        commands = {
            "--help": ["emotion_lit", "--help"],
            "fit --help": ["emotion_lit", "fit", "--help"],
            "predict of one row": ["emotion_lit", "predict", "--ckpt_path", checkpoint, *files],
            "transformers: import pipeline": ["tests.benchmarks.pipeline", "--help"],
        }
        peers = {name: lambda command=command: _timed(command) for name, command in commands.items()}
        results = take_turns(peers, options.rounds)
    rows = [["", "seconds"], *([name, spread([one["seconds"] for one in all_])] for name, all_ in results.items())]
    publish("startup", rows, results, options.output)


def _timed(command: list[str]) -> Measures:
    return {"seconds": run_module(*command)[1]}


if __name__ == "__main__":
    main()
