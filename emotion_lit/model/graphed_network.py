"""Training passes of batch shapes that recur, recorded once and replayed with one launch each.

A step of a small batch is a thousand short kernels, and launching them takes longer than running them. CUDA graphs need
fixed shapes and fixed memory. They are recorded here by hand: `torch.cuda.make_graphed_callables` gives gradients in
memory that its next call overwrites, which corrupts accumulated gradients (pytorch/pytorch#181723), and its graphs
contain the gradient accumulators that DistributedDataParallel watches. `torch.compile(mode="reduce-overhead")` compiles
each shape, which takes longer than many runs.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from emotion_lit.data.batching import Batch
from emotion_lit.model.batches import classify
from emotion_lit.model.cuda_graphs import Recorder
from emotion_lit.model.fast_paths import print_left_out
from emotion_lit.model.mixed_precision import StepWeights
from emotion_lit.model.network import Network
from emotion_lit.model.probe import error_summary
from emotion_lit.model.recorded_pass import RecordedPass, keep_gradients

INPUTS = ("input_ids", "attention_mask", "states", "features")
# A shape is recorded at its second batch, if at least so many of it are expected to follow. Recording takes about as
# long as four eager passes, and a replay saves most of one.
RECORDED_AT, EXPECTED = 2, 6
MOST_SECONDS = 10.0
LIBRARIES = ("transformers.", "peft.", "emotion_lit.")

Shape = tuple[tuple[str, tuple[int, ...]], ...]


class GraphedNetwork:
    """A network whose training passes are replayed where the shape of the batch recurs, and run as usual elsewhere.

    Args:
        network: The network in training mode, on its device, until the end of the run.
        recorder: Records work on that device.
        batches: The number of batches that will come, possibly infinite.

    Attributes:
        passes: The number of ``replayed`` and of ``eager`` passes.
        seconds: The time that recording took.
    """

    def __init__(self, network: Network, recorder: Recorder, batches: float) -> None:
        self.network = network
        self.recorder = recorder
        self.batches = batches
        self.passes = Counter(replayed=0, eager=0)
        self.seconds = 0.0
        self._seen: Counter[Shape] = Counter()
        self._recorded: dict[Shape, RecordedPass] = {}
        self._weights: StepWeights | None = None
        self._gradients: dict[str, Tensor] = {}
        self._may_record = True

    def __call__(self, batch: Batch) -> Tensor:
        """Logits of a training batch, ``[batch, classes]``, see `batches.classify`.

        Args:
            batch: The batch, on the network's device.
        """
        inputs = {name: batch[name] for name in INPUTS if batch.get(name) is not None}
        shape = tuple((name, tuple(values.shape)) for name, values in inputs.items())
        self._seen[shape] += 1
        if shape not in self._recorded and self._pays(shape):
            self._record(shape, inputs)
        if shape not in self._recorded:
            self.passes["eager"] += 1
            return classify(self.network, batch)
        self.passes["replayed"] += 1
        return self._recorded[shape].logits(inputs)

    @property
    def summary(self) -> dict[str, float]:
        """Recorded ``shapes``, ``replayed`` and ``eager`` passes, and the ``seconds`` of recording, for a report."""
        return {"shapes": len(self._recorded), **self.passes, "seconds": self.seconds}

    def _pays(self, shape: Shape) -> bool:
        one_more = self.seconds * (1 + 1 / max(1, len(self._recorded)))
        if not self._may_record or self._seen[shape] < RECORDED_AT or one_more > MOST_SECONDS:
            return False
        had = self._seen.total()
        return self._seen[shape] / had * (self.batches - had) >= EXPECTED

    def _record(self, shape: Shape, inputs: dict[str, Tensor]) -> None:
        start = time.perf_counter()
        try:
            if problem := hooks_of(self.network):
                raise RuntimeError(problem)
            with self.recorder.unchanged_random_state(), _uncached_autocast(next(iter(inputs.values())).device):
                if self._weights is None:
                    self._weights = StepWeights(self.network, autocast_dtype(next(iter(inputs.values())).device))
                    self._gradients = {name: torch.zeros_like(w) for name, w in self._weights.parameters.items()}
                keep_gradients(self._weights.parameters, self._gradients)
                recorded = RecordedPass(self.network, self._weights, self._gradients, inputs)
                recorded.record(self.recorder)
            self._recorded[shape] = recorded
        except Exception as error:  # architectures may raise anything
            self._may_record = False
            print_left_out(
                f"CUDA graphs of {'more' if self._recorded else 'all'} shapes", self.network, error_summary(error)
            )
        self.seconds += time.perf_counter() - start


def hooks_of(network: nn.Module) -> str:
    """The class of a module whose hooks a replay would not call; empty if there is none.

    Those of libraries, with which transformers returns the states of all layers, only compute, and are recorded.

    Args:
        network: The network.
    """
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    for module in network.modules():
        hooks = [hook for kind in kinds for hook in getattr(module, kind).values()]
        if any(not str(getattr(hook, "__module__", "")).startswith(LIBRARIES) for hook in hooks):
            return f"{type(module).__name__} has hooks"
    return ""


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """The dtype of autocast on a device; None if it is off.

    Args:
        device: The device.
    """
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None


@contextlib.contextmanager
def _uncached_autocast(device: torch.device) -> Iterator[None]:
    """The present autocast without its cache, whose tensors would not outlive a recording."""
    dtype = autocast_dtype(device)
    with torch.autocast(device.type, dtype, enabled=dtype is not None, cache_enabled=False):
        yield
