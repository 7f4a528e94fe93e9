"""A labeling job on a cluster: everything that its processes have to know, and the model that each of them loads."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from emotion_lit import __version__
from emotion_lit.cluster.part_folder import ROW
from emotion_lit.data.batching import Batch
from emotion_lit.data.budgets import AUTO
from emotion_lit.data.columns import TEXT_NAMES
from emotion_lit.data.loaders import prediction_packing
from emotion_lit.data.settings import DataSettings
from emotion_lit.data.tokenization import check_max_length
from emotion_lit.data.window_batches import WindowBatches
from emotion_lit.errors import UserError
from emotion_lit.inference.engine_selection import make_engine
from emotion_lit.inference.engines import TORCH, Engine, FallbackEngine, TorchEngine
from emotion_lit.inference.export_loader import Export
from emotion_lit.inference.output_columns import TableBuilder
from emotion_lit.inference.output_state import VERSION
from emotion_lit.model import checkpoint as checkpoints
from emotion_lit.model.factory import TrainedNetwork, restore
from emotion_lit.model.fast_paths import install_eager_attention
from emotion_lit.model.half_weights import with_half_weights
from emotion_lit.model.memory_limit import MemoryLimit, fill_memory
from emotion_lit.model.positions import longest_text
from emotion_lit.model.probe import Probe
from emotion_lit.model.settings import ModelSettings
from emotion_lit.utils.console import say

# The Trainer's precisions that an actor computes in, and the type of the matrix products.
PRECISIONS = {"32-true": None, "32": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


@dataclass(frozen=True)
class Job:
    """A labeling job. It can be pickled.

    Args:
        checkpoint: The checkpoint, or the folder of an export, to be found by all processes.
        is_export: Whether it is an export.
        data: How the texts are read and batched.
        model: The model's settings.
        path: The folder of the parts.
        cluster: ``ray``, or the address of a cluster.
        engine: ``torch``, ``onnx``, or ``auto``.
        quantize: ``none``, or ``int8``.
        top_k: The number of most probable classes that get columns.
        threshold: A probability below which the label is ``uncertain``.
        probabilities: Whether each class gets a column.
        overwrite: Whether the parts of another run may be removed.
        precision: The Trainer's precision.
        accelerator: The Trainer's accelerator, such as ``auto`` or ``cpu``.
        actors: The number of actors; None for one on each GPU, or on each machine.
        dashboard: Whether Ray that is started on this machine has its dashboard.
        try_bf16: Whether ``auto`` may try half precision.
    """

    checkpoint: str
    is_export: bool
    data: DataSettings
    model: ModelSettings
    path: str
    cluster: str
    engine: str = TORCH
    quantize: str = "none"
    top_k: int = 1
    threshold: float = 0.0
    probabilities: bool = True
    overwrite: bool = False
    precision: str = "32-true"
    accelerator: str = "auto"
    actors: int | None = None
    dashboard: bool = False
    try_bf16: bool = True

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UserError(
                f"trainer.precision {self.precision} is not supported by prediction.cluster; use one of "
                f"{', '.join(name for name in PRECISIONS if '-' in name)}"
            )
        if ROW in self.data.keep_columns:
            raise UserError(
                f"data.keep_columns has {ROW}, which prediction.cluster adds to the predictions; leave it out"
            )

    @property
    def text_key(self) -> str:
        """The column of texts in a window."""
        return self.data.text_column or TEXT_NAMES[0]

    @property
    def builder(self) -> TableBuilder:
        """Builds the columns of the parts."""
        kept = tuple(self.data.keep_columns)
        return TableBuilder(self.model.decision, self.top_k, self.threshold, self.probabilities, kept)

    def made_from(self, weights_sha256: str, digest: str) -> dict[str, Any]:
        """What decides the content of the parts, by the name that a message gives it.

        Args:
            weights_sha256: The hash of the weights.
            digest: The hash of the input.
        """
        model, data = self.model, self.data
        return {
            VERSION: __version__,
            "the checkpoint": [weights_sha256, model.labels, model.temperature, model.threshold],
            "the input": digest,
            "a setting of the data": [data.max_length, data.tokens_per_batch, data.text_column, data.id_column],
            "trainer.precision": self.precision,
            "prediction.engine": [self.engine, self.quantize],
            "a setting of the prediction": [self.builder.empty().column_names, self.threshold, data.on_error],
        }


@dataclass
class LoadedJob:
    """A job with its model.

    Attributes:
        batches: Divides windows into batches.
        engine: Computes the probabilities of a batch.
        trained: The network and what belongs to it; None for an export.
        fell_back: Whether PyTorch has replaced the engine.
        memory_limit: The size of batches that do not fit in memory.
    """

    batches: WindowBatches
    engine: Engine
    trained: TrainedNetwork | None = None
    fell_back: bool = False
    memory_limit: MemoryLimit = field(default_factory=MemoryLimit)

    def compute(self, batch: Batch) -> Tensor:
        """Computes the probabilities of a batch, in parts if it does not fit in memory.

        Args:
            batch: The batch.

        Returns:
            ``[rows, classes]``.
        """
        return self.memory_limit.run(self.engine, batch)

    @classmethod
    def load(cls, job: Job, device: str, engine: str = TORCH) -> "LoadedJob":
        """Loads the model of a job, as `predict` does.

        Args:
            job: The job.
            device: The torch device.
            engine: One of `ENGINES`.

        Raises:
            UserError: It cannot be loaded.
        """
        if job.is_export:
            export = Export.read(job.checkpoint).load(job.model.backbone, job.model.decision, device)
            check_max_length(job.data.max_length, export.tokenizer, int(export.tokenizer.model_max_length))
            return cls(_batches(job.data, export.tokenizer, export.engine), export.engine)
        checkpoint = checkpoints.read_checkpoint(Path(job.checkpoint))
        trained = restore(checkpoint, merge_adapters=True, settings=job.model)
        longest = longest_text(job.model.backbone, trained.network.encoder, job.data.max_length)
        check_max_length(job.data.max_length, trained.tokenizer, longest)
        if job.model.fast_paths and device == "cpu":
            install_eager_attention(trained.network, Probe(trained.tokenizer))
        trained.network.to(device)
        dtype, network = PRECISIONS[job.precision], trained.network
        if engine == TORCH and dtype is not None and job.model.fast_paths:
            network = with_half_weights(network, dtype, trained.tokenizer)
        torch_engine = TorchEngine(network, trained.decision, dtype)
        loaded = cls(_batches(job.data, trained.tokenizer, torch_engine), torch_engine, trained)
        if engine != TORCH:
            loaded.use(engine, torch_engine, Path(job.checkpoint))
        return loaded

    def use(self, engine: str, fallback: TorchEngine, checkpoint: Path) -> None:
        """Computes with another engine.

        Args:
            engine: One of `ENGINES`.
            fallback: PyTorch, for where it fails.
            checkpoint: The checkpoint, beside which files of ONNX are kept.
        """
        if self.trained is None:  # an export, which has its own engine
            return
        try:
            other = make_engine(engine, self.trained, checkpoint)
            self.engine = FallbackEngine(engine, other, fallback, on_fallback=self._fall_back)
        except Exception as error:
            say(f"{engine} is not used: {error}; continuing with PyTorch")
            self._fall_back()

    def _fall_back(self) -> None:
        self.fell_back = True


def _batches(data: DataSettings, tokenizer: PreTrainedTokenizerBase, engine: Engine) -> WindowBatches:
    packing = prediction_packing(data, tokenizer)
    if isinstance(engine, TorchEngine):  # ONNX Runtime has no shapes to prepare
        with torch.inference_mode():
            fill_memory(packing, engine, engine.device, data.max_length, data.tokens_per_batch == AUTO)
    return WindowBatches(tokenizer, data.max_length, packing)
