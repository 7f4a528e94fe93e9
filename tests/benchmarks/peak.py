"""The machine's own matrix peak, by precision, size and number of threads: what any training here is bounded by.

python -m tests.benchmarks.peak
"""

import argparse
import time

import torch

from tests.benchmarks.turns import Measures, publish, spread, take_turns

# Rows, inner and outer width: a square product, and those of a batch of 1,024 tokens in MiniLM and in BERT-base.
SHAPES = ((1024, 1024, 1024), (1024, 384, 384), (1024, 384, 1536), (1024, 768, 768), (1024, 768, 3072))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", help="A file for the JSON.")
    options = parser.parse_args()
    peers = {
        f"{str(dtype).removeprefix('torch.')}, {threads} threads": lambda dtype=dtype, threads=threads: measure(
            dtype, threads
        )
        for dtype in (torch.float32, torch.bfloat16)
        for threads in sorted({1, torch.get_num_threads()})
    }
    results = take_turns(peers, options.rounds)
    names = ["x".join(map(str, shape)) for shape in SHAPES]
    rows = [["GFLOP/s", *names]]
    rows += [[peer, *(spread([one[n] for one in measured], 0) for n in names)] for peer, measured in results.items()]
    publish("peak", rows, results, options.output)


def measure(dtype: torch.dtype, threads: int) -> Measures:
    """GFLOP/s of products of each shape, at their best.

    Args:
        dtype: What is multiplied.
        threads: With how many threads.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    measures = {}
    for rows, inner, outer in SHAPES:
        left, right = torch.randn(rows, inner, dtype=dtype), torch.randn(outer, inner, dtype=dtype)
        best = min(_seconds(left, right) for _ in range(50))
        measures[f"{rows}x{inner}x{outer}"] = 2e-9 * rows * inner * outer / best
    torch.set_num_threads(before)
    return measures


def _seconds(left: torch.Tensor, right: torch.Tensor) -> float:
    start = time.perf_counter()
    torch.nn.functional.linear(left, right)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
