"""The engines of `predict` in one process: texts a second, and the share of the machine's matrix peak they reach.

python -m tests.benchmarks.engines --ckpt-path logs/quickstart/version_0/checkpoints/best.ckpt --texts texts.txt
"""

import argparse
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from emotion_lit.data.batching import Batch
from emotion_lit.data.packing import Packing
from emotion_lit.data.padding import Padding
from emotion_lit.data.streaming import TextStream
from emotion_lit.inference.agreement import compare, probabilities_of
from emotion_lit.inference.engine_selection import make_engine
from emotion_lit.inference.engines import ENGINES, TORCH, Engine
from emotion_lit.model.checkpoint import read_checkpoint
from emotion_lit.model.cpu_kernels import use_eager_attention
from emotion_lit.model.decision import Decision
from emotion_lit.model.factory import restore
from emotion_lit.utils.memory import keep_freed_memory
from tests.benchmarks.peak import measure
from tests.benchmarks.turns import Measures, publish, spread, take_turns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt-path", type=Path, required=True)
    parser.add_argument("--texts", required=True, help="A file of texts, as `predict` reads it.")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", help="A file for the JSON.")
    options = parser.parse_args()
    keep_freed_memory()
    model = restore(read_checkpoint(options.ckpt_path))
    use_eager_attention(model.network.encoder)
    packing = Packing(2048, Padding.of(model.tokenizer))
    stream = TextStream([options.texts], "text", [], "id", model.tokenizer, 128, packing)
    batches = stream.first_batches(options.rows)
    engines = {name: make_engine(name, model, options.ckpt_path) for name in ENGINES}
    with FlopCounterMode(display=False) as counter:
        reference = probabilities_of(engines[TORCH], batches)
    gflop = 1e-9 * counter.get_total_flops()
    decision = model.decision
    peers = {
        name: lambda engine=engine: timed(decision, engine, batches, reference, gflop)
        for name, engine in engines.items()
    }
    peaks = take_turns({"peak": lambda: {**_peak(torch.float32, "fp32"), **_peak(torch.bfloat16, "bf16")}}, 1)["peak"]
    results = take_turns(peers, options.rounds)
    rows = [["", "texts/s", "GFLOP/s", "of the bf16 peak", "same labels", "mean difference"]]
    for name, measured in results.items():
        gflops = [one["gflops_per_second"] for one in measured]
        rows.append(
            [
                name,
                spread([one["texts_per_second"] for one in measured], 0),
                spread(gflops, 0),
                spread([value / peaks[0]["bf16"] for value in gflops]),
                f"{measured[-1]['same_labels']:.2%}",
                f"{measured[-1]['difference']:.4f}",
            ]
        )
    publish("engines", rows, {"peaks": peaks, **results}, options.output)


def _peak(dtype: torch.dtype, name: str) -> Measures:
    return {name: max(measure(dtype, torch.get_num_threads()).values())}


def timed(decision: Decision, engine: Engine, batches: list[Batch], reference: torch.Tensor, gflop: float) -> Measures:
    start = time.perf_counter()
    found = probabilities_of(engine, batches)
    seconds = time.perf_counter() - start
    agreed = compare(reference, found, decision)
    return {
        "texts_per_second": len(found) / seconds,
        "gflops_per_second": gflop / seconds,
        "same_labels": 1 - agreed.differing / agreed.rows,
        "difference": agreed.mean_difference,
    }


if __name__ == "__main__":
    main()
