"""Installs the optimizations for training when `fit` starts, and removes them when it ends."""

from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from torch import Tensor

from emotion_lit.data.batching import Batch
from emotion_lit.model.batches import classify
from emotion_lit.model.cuda_graphs import Recorder, recorder_for
from emotion_lit.model.fast_paths import install_training_paths, install_unread_masks, remove_training_paths
from emotion_lit.model.graphed_network import GraphedNetwork
from emotion_lit.model.mixed_precision import FrozenWeights
from emotion_lit.model.network import Network
from emotion_lit.model.precision import BFLOAT
from emotion_lit.model.probe import Probe
from emotion_lit.training.fsdp import is_sharded
from emotion_lit.training.strategies import check_precision, is_checked_when_built
from emotion_lit.training.weight_averaging import averages

if TYPE_CHECKING:
    from emotion_lit.training.module import EmotionClassifier


class Acceleration(pl.Callback):
    """What makes the training steps of a model fast on the device of the Trainer.

    On a CPU these are its kernels for attention and dropout. On a GPU these are attention masks that are not read,
    frozen weights in bfloat16, and CUDA graphs. With ``trainer.deterministic`` there are no graphs: it is not known
    whether they compute the same bits as the eager steps of a resumed run.

    Attributes:
        graphs: Replays the passes of recurring batch shapes; None if every step is eager.
    """

    def __init__(self) -> None:
        self.graphs: GraphedNetwork | None = None
        self._frozen: FrozenWeights | None = None
        self._summary: dict[str, float] | None = None

    def classify(self, network: Network, batch: Batch) -> Tensor:
        """Logits of a batch, ``[batch, classes]``, see `batches.classify`.

        Args:
            network: The network of the model.
            batch: The batch.
        """
        if self.graphs is not None and network.training and torch.is_grad_enabled():
            return self.graphs(batch)
        return classify(network, batch)

    @property
    def graph_summary(self) -> dict[str, float] | None:
        """How many passes of the last run were replayed, see `GraphedNetwork.summary`; None without graphs."""
        return self.graphs.summary if self.graphs is not None else self._summary

    def on_fit_start(self, trainer: pl.Trainer, pl_module: "EmotionClassifier") -> None:  # type: ignore[override]
        """Installs what suits the device."""
        network, settings, device = pl_module.built, pl_module.settings, trainer.strategy.root_device
        self._remove(network)  # from a `fit` that was interrupted
        self._summary = None
        if settings.fast_paths and device.type == "cpu":
            install_training_paths(network, Probe(pl_module.tokenizer))
        if not is_checked_when_built(trainer):
            check_precision(trainer, network, pl_module.tokenizer)
        if settings.compile_encoder:
            network.encoder.compile(dynamic=True)
        elif settings.fast_paths and (recorder := recorder_for(device)) and _has_whole_weights(trainer):
            install_unread_masks(network, Probe(pl_module.tokenizer))
            self._use_graphs(trainer, network, recorder)

    def _use_graphs(self, trainer: pl.Trainer, network: Network, recorder: Recorder) -> None:
        if trainer.precision == BFLOAT and not averages(trainer):  # averaging also averages frozen weights
            self._frozen = FrozenWeights(network, torch.bfloat16)
        if not torch.are_deterministic_algorithms_enabled() and not torch.is_anomaly_enabled():
            steps = trainer.estimated_stepping_batches - trainer.global_step
            self.graphs = GraphedNetwork(network, recorder, steps * trainer.accumulate_grad_batches)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: "EmotionClassifier") -> None:  # type: ignore[override]
        """Restores the network."""
        self._remove(pl_module.built)

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Restores the network, if the error was not in building it."""
        if pl_module.network is not None:
            self._remove(pl_module.network)

    def _remove(self, network: Network) -> None:
        self._summary, self.graphs = self.graph_summary, None
        remove_training_paths(network)
        if self._frozen is not None:
            self._frozen.restore()
            self._frozen = None


def _has_whole_weights(trainer: pl.Trainer) -> bool:
    """Whether this process has all weights, and not shares of them."""
    return isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy) and not is_sharded(trainer.strategy)
