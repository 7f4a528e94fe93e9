"""Whether the cost of a row stays the same as rows become more, with one thread and with all.

One epoch of `head.yaml`, the frozen encoder included. Give a data set with enough training rows:

    python -m tests.benchmarks.scaling --dataset cirimus/super-emotion --rows 1000 10000 100000
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

import torch

from tests.benchmarks.turns import Measures, publish, run_module, spread, take_turns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="sample")
    parser.add_argument("--backbone", default="embedded")
    parser.add_argument("--rows", type=int, nargs="+", default=[500, 2000])
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, torch.get_num_threads()}))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--output", help="A file for the JSON.")
    options = parser.parse_args()
    peers = {
        f"{rows:,} rows, {threads} thread{'s' * (threads > 1)}": lambda rows=rows, threads=threads: _fit(
            options.dataset, options.backbone, rows, threads
        )
        for threads in options.threads
        for rows in options.rows
    }
    results = take_turns(peers, options.rounds)
    rows = [["", "ms per row", "peak MiB"]]
    for name, measured in results.items():
        columns = (("ms_per_row", 3), ("peak_memory_mb", 0))
        rows.append([name, *(spread([one[key] for one in measured], digits) for key, digits in columns)])
    publish("scaling", rows, results, options.output)


def _fit(dataset: str, backbone: str, rows: int, threads: int) -> Measures:
    os.environ["OMP_NUM_THREADS"] = str(threads)
    with tempfile.TemporaryDirectory() as folder:
        run_module(
            "emotion_lit",
            *("fit", "--config", "configs/head.yaml", "--name", "scaling", "--trainer.max_epochs", "1"),
            *("--data.dataset", dataset, "--model.backbone", backbone, "--data.train_size", str(rows)),
            *("--data.val_size", "200", "--data.test_size", "200"),
            *("--data.cache_dir", f"{folder}/cache", "--trainer.default_root_dir", folder),
        )
        report = json.loads((Path(folder) / "scaling" / "version_0" / "report.json").read_text(encoding="utf-8"))
    training = report["training"]
    seconds = training["train_seconds"] + training["encode_seconds"]
    return {"ms_per_row": 1e3 * seconds / rows, "peak_memory_mb": training["peak_memory_mb"]}


if __name__ == "__main__":
    main()
