"""Replayed passes give the logits and gradients of eager ones, to the bit; a CPU stands for the GPU."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from emotion_lit import EmotionClassifier
from emotion_lit.data.batching import Batch
from emotion_lit.model import graphed_network
from emotion_lit.model.attention import skip_mask_inspection
from emotion_lit.model.batches import classify
from emotion_lit.model.graphed_network import GraphedNetwork
from emotion_lit.model.network import Network
from tests.model.recorders import CpuRecorder

LEFT_OUT = "fast path left out: CUDA graphs of "
Pass = Callable[[Batch], Tensor]


def built(backbone: Path, tuning: str = "full", **settings: Any) -> Network:
    torch.manual_seed(0)
    model = EmotionClassifier(["a", "b", "c"], backbone=str(backbone), tuning=tuning, **settings)  # type: ignore[arg-type]
    model.build()
    for name, weight in model.built.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.02)
    skip_mask_inspection(model.built.encoder)
    return model.built


def batch(seed: int, rows: int = 4, length: int = 7) -> Batch:
    random = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, length, (rows, 1), generator=random)
    return {
        "input_ids": torch.randint(5, 100, (rows, length), generator=random),
        "attention_mask": (torch.arange(length) < lengths).long(),
    }


def train(
    network: nn.Module, run: Pass, batches: list[Batch], accumulate: int = 1, dtype: torch.dtype | None = None
) -> list[dict[str, Tensor]]:
    """Trains on batches; returns the gradients of each step, and the logits."""
    optimizer = torch.optim.SGD([weight for weight in network.parameters() if weight.requires_grad], lr=0.01)
    found: list[dict[str, Tensor]] = []
    for place, one in enumerate(batches):
        torch.manual_seed(place)
        with torch.autocast("cpu", dtype, enabled=dtype is not None, cache_enabled=False):
            logits = run(one)
        if place % accumulate == 0:  # between the passes, like Lightning
            optimizer.zero_grad(set_to_none=True)
        logits.logsumexp(1).sum().backward()  # type: ignore[no-untyped-call]
        grads = {name: w.grad.clone() for name, w in network.named_parameters() if w.grad is not None}
        found.append({**grads, "logits": logits.detach().clone()})
        if (place + 1) % accumulate == 0:
            optimizer.step()
    return found


def both(
    backbone: Path, batches: list[Batch], accumulate: int = 1, dtype: torch.dtype | None = None, **settings: Any
) -> GraphedNetwork:
    """Trains with and without recorded passes, and compares every step; returns the recorded passes."""
    plain, network = built(backbone, **settings), built(backbone, **settings)
    graphs = GraphedNetwork(network, CpuRecorder(), math.inf)
    expected = train(plain, lambda one: classify(plain, one), batches, accumulate, dtype)
    found = train(network, graphs, batches, accumulate, dtype)
    for step, (want, got) in enumerate(zip(expected, found, strict=True)):
        assert want.keys() == got.keys()
        for name, value in want.items():
            assert torch.equal(value, got[name]), (step, name)
    return graphs


SHAPES = [(4, 7), (6, 5), (4, 7), (4, 7), (6, 5), (6, 5), (2, 9), (4, 7), (6, 5), (4, 7), (6, 5)]
BATCHES = [batch(seed, rows, length) for seed, (rows, length) in enumerate(SHAPES)]


@pytest.mark.parametrize(
    "settings",
    [
        {"tuning": "full"},
        {"tuning": "full", "trainable_layers": 1},
        {"tuning": "lora"},
        {"tuning": "lora", "lora": {"dropout": 0.2}},
        {"tuning": "head", "pooling": "mean"},
    ],
    ids=str,
)
def test_gradients_are_those_of_eager_passes(tiny_backbone: Path, settings: dict[str, Any]) -> None:
    graphs = both(tiny_backbone, BATCHES, **settings)
    assert graphs.summary == {"shapes": 2, "replayed": 8, "eager": 3, "seconds": graphs.seconds}
    assert graphs.seconds > 0


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_and_in_bfloat16(tiny_backbone: Path, tuning: str) -> None:
    assert both(tiny_backbone, BATCHES, dtype=torch.bfloat16, tuning=tuning).passes["replayed"] == 8


def test_accumulated_gradients_add_up(tiny_backbone: Path) -> None:
    assert both(tiny_backbone, BATCHES, accumulate=3).passes["replayed"] == 8


def test_states_and_features_are_inputs_too(tiny_backbone: Path) -> None:
    lower = built(tiny_backbone, trainable_layers=1)
    with torch.no_grad():
        states = [{**one, "states": lower.states(one["input_ids"], one["attention_mask"])} for one in BATCHES]
    assert both(tiny_backbone, states, trainable_layers=1).passes["replayed"] == 8
    width = built(tiny_backbone, tuning="head").feature_size
    features = [{"features": torch.randn(3, width)} for _ in range(5)]
    assert both(tiny_backbone, features, tuning="head").passes["replayed"] == 4


def test_dropout_differs_from_step_to_step(tiny_backbone: Path) -> None:
    network = built(tiny_backbone, dropout=0.5)
    graphs = GraphedNetwork(network, CpuRecorder(), math.inf)
    logits = [graphs(BATCHES[0]).detach() for _ in range(5)]
    assert graphs.passes["replayed"] == 4
    assert not any(torch.equal(logits[-1], other) for other in logits[:-1])


def test_recording_draws_no_random_numbers(tiny_backbone: Path) -> None:
    states = []
    for batches in (0.0, math.inf):
        torch.manual_seed(0)
        graphs = GraphedNetwork(built(tiny_backbone), CpuRecorder(), batches)
        for _ in range(4):
            graphs(BATCHES[0])
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


def test_short_runs_and_rare_shapes_are_not_recorded(tiny_backbone: Path) -> None:
    network = built(tiny_backbone)
    short, long = GraphedNetwork(network, CpuRecorder(), 7), GraphedNetwork(network, CpuRecorder(), 20)
    for graphs in (short, long):
        for one in [BATCHES[0]] * 5 + [BATCHES[1]] * 2:
            graphs(one)
    assert short.summary["shapes"] == 0
    assert long.passes == {"replayed": 4, "eager": 3}


def test_recording_ends_after_a_while(tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = built(tiny_backbone)
    graphs = GraphedNetwork(network, CpuRecorder(), math.inf)
    for one in [BATCHES[0]] * 4:
        graphs(one)
    monkeypatch.setattr(graphed_network, "MOST_SECONDS", graphs.seconds)
    for one in [BATCHES[1]] * 4 + [BATCHES[0]]:
        graphs(one)
    assert graphs.passes == {"replayed": 4, "eager": 5}


def test_what_cannot_be_recorded_runs_as_before(tiny_backbone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = built(tiny_backbone)
    network.embeddings[0].register_forward_hook(lambda *_: None)
    graphs = GraphedNetwork(network, CpuRecorder(), math.inf)
    for _ in range(6):
        graphs(BATCHES[0])
    assert graphs.passes == {"replayed": 0, "eager": 6}
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"{LEFT_OUT}all shapes, with BertModel (RuntimeError: BertEmbeddings has hooks)")


def test_a_value_that_is_read_is_named(
    tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = built(tiny_backbone)
    (embeddings,) = network.embeddings
    own = embeddings.forward
    monkeypatch.setattr(embeddings, "forward", lambda **more: own(**more) * float(own(**more).sum() < 1e9))
    graphs = GraphedNetwork(network, CpuRecorder(), math.inf)
    for _ in range(6):
        graphs(BATCHES[0])
    assert graphs.passes["eager"] == 6
    assert "_local_scalar_dense" in capsys.readouterr().err


def test_without_memory_for_another_shape_the_others_are_kept(
    tiny_backbone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graphs = GraphedNetwork(built(tiny_backbone), CpuRecorder(most=3), math.inf)
    for one in [*BATCHES, *BATCHES]:
        graphs(one)
    assert graphs.summary["shapes"] == 1
    assert graphs.passes["replayed"] == 9
    assert f"{LEFT_OUT}more shapes, with BertModel (OutOfMemoryError: CUDA out of memory." in capsys.readouterr().err


class Wrapped(nn.Module):
    """A network as DistributedDataParallel wraps it.

    Args:
        network: The network.
        run: Computes its logits.
    """

    def __init__(self, network: Network, run: Pass) -> None:
        super().__init__()
        self.network, self.run = network, run

    def forward(self, one: Batch) -> Tensor:
        return self.run(one)


def distributed(rank: int, processes: int, backbone: Path, store: Path) -> None:
    """Trains with and without recorded passes in one of several processes, and compares every step."""
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=processes)
    batches = BATCHES if rank == 0 else BATCHES[::-1]  # one process replays where another one does not
    plain, network = built(backbone), built(backbone)
    graphs = GraphedNetwork(network, CpuRecorder(), math.inf)
    replayed = DistributedDataParallel(Wrapped(network, graphs), gradient_as_bucket_view=True)
    eager = DistributedDataParallel(
        Wrapped(plain, lambda one: classify(plain, one)), gradient_as_bucket_view=True, find_unused_parameters=True
    )
    expected, found = train(plain, eager, batches), train(network, replayed, batches)
    for want, got in zip(expected, found, strict=True):
        assert want.keys() == got.keys()
        for name, value in want.items():
            torch.testing.assert_close(got[name], value, atol=1e-6, rtol=1e-5)
    assert graphs.passes["replayed"] == 8
    dist.destroy_process_group()


def test_distributed_training_sees_every_gradient(tiny_backbone: Path, tmp_path: Path) -> None:
    distributed(0, 1, tiny_backbone, tmp_path / "store")


@pytest.mark.slow
def test_and_exchanges_them_among_processes(tiny_backbone: Path, tmp_path: Path) -> None:
    spawn(distributed, (2, tiny_backbone, tmp_path / "store"), nprocs=2)  # type: ignore[no-untyped-call]
