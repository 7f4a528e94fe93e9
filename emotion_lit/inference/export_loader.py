"""Loads what `export` wrote."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from emotion_lit.data.batching import Batch
from emotion_lit.errors import UserError
from emotion_lit.inference.engines import Engine
from emotion_lit.inference.export_contract import (
    Contract,
    check_configuration,
    check_format,
    check_tokenizer,
    check_weights,
    read_contract,
)
from emotion_lit.inference.export_writers import FILES, ONNX_FILE
from emotion_lit.inference.onnx import OnnxEngine
from emotion_lit.inference.peft_adapters import load_adapter
from emotion_lit.model import checkpoint as checkpoints
from emotion_lit.model import pretrained
from emotion_lit.model.backbone import listed, quiet_transformers, unloaded
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.utils.paths import expanded

# The length of the text that an export is tried on when it is loaded.
PROBED_TOKENS = 2048


class TransformersEngine:
    """A network of transformers or peft.

    Args:
        network: The network.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval()
        self._device = next(network.parameters()).device

    def __call__(self, batch: Batch) -> Tensor:
        """Logits of a batch, ``[batch, classes]``.

        Args:
            batch: ``input_ids`` and, where there is padding, ``attention_mask``, both ``[batch, tokens]``.
        """
        if (device := batch["input_ids"].device) != self._device:
            self.network.to(device)
            self._device = device
        output: Any = self.network(input_ids=batch["input_ids"], attention_mask=batch.get("attention_mask"))
        return output.logits  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Exported:
    """A folder that `export` wrote.

    Args:
        folder: The folder.
        stated: What it states of itself.
    """

    folder: Path
    stated: Contract

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Reads what an export states of itself.

        Args:
            path: The folder.

        Raises:
            UserError: It is no export, or damaged.
        """
        folder = Path(expanded(path))
        stated = read_contract(folder)
        if stated is None:
            raise UserError(f"{path} is a model of transformers that `export` did not write; give a checkpoint")
        return cls(folder, stated)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a model that it makes whole."""
        return {
            "labels": self.stated.labels,
            "multi_label": self.stated.multi_label,
            "backbone": str(self.folder),
            "threshold": self.stated.thresholds,
            "temperature": self.stated.temperature,
        }

    def as_checkpoint(self) -> checkpoints.Checkpoint:
        """What a checkpoint would say of the model and the data."""
        data = {"max_length": self.stated.max_length, "multi_label": self.stated.multi_label}
        return {checkpoints.MODEL_KEY: self.settings, checkpoints.DATA_KEY: data}

    def check_engine(self, engine: str, quantize: str) -> None:
        """Refuses engines that it cannot compute with.

        Args:
            engine: ``prediction.engine``.
            quantize: ``prediction.quantize``.

        Raises:
            UserError: It is another one than its own.
        """
        own = "onnx" if (self.folder / ONNX_FILE).is_file() else "torch"
        if engine not in ("torch", own) or quantize != "none":
            raise UserError(
                f"{self.folder} is an export, which {'ONNX Runtime' if own == 'onnx' else 'PyTorch'} computes; leave "
                "out prediction.engine and prediction.quantize, or give the checkpoint"
            )

    def attach(self, model: EmotionClassifier) -> None:
        """Makes a model compute with it.

        Args:
            model: A model of the same classes; its backbone is the base model of an adapter, if it is another folder.

        Raises:
            UserError: It is damaged, or the base model cannot be loaded, or is another one.
        """
        backbone = None if model.settings.backbone == str(self.folder) else model.settings.backbone
        with quiet_transformers(), pretrained.errors_of(f"the exported folder {self.folder}"):
            attach(model, self.folder, self.stated, backbone)


def load_exported(folder: Path, backbone: str | None = None) -> tuple[EmotionClassifier, int] | None:
    """Loads a folder that `export` wrote.

    Args:
        folder: The folder.
        backbone: Where the base model of an adapter is, if not where its name says.

    Returns:
        A model, and where its texts are cut, in tokens; None for a path of another kind.

    Raises:
        UserError: The folder is damaged, or the base model cannot be loaded, or is another one.
    """
    stated = read_contract(folder)
    if stated is None:
        return None
    exported = Exported(folder, stated)
    with pretrained.errors_of(f"the exported folder {folder}"):
        model = EmotionClassifier(**{**exported.settings, "backbone": backbone or str(folder)})
    exported.attach(model)
    return model, stated.max_length


def attach(model: EmotionClassifier, folder: Path, stated: Contract, backbone: str | None = None) -> None:
    """Makes a model compute with an export.

    Args:
        model: A model of the same classes, without a network.
        folder: The export.
        stated: Its contract.
        backbone: Where the base model of an adapter is, if not where its name says.

    Raises:
        UserError: The export contradicts itself, or the base model is another one than it was trained on.
    """
    check_format(folder, stated)
    check_configuration(folder, stated)
    model._tokenizer = pretrained.read_tokenizer(folder)
    check_tokenizer(model.tokenizer, stated)
    model.engine = _engine(folder, stated, backbone, model.tokenizer)
    model.weights_sha256 = check_weights(folder, stated)
    _probe(model.engine, stated, model.tokenizer)


def is_exported(folder: Path) -> bool:
    """Whether a folder is one that `export` wrote, and holds nothing else.

    Args:
        folder: The folder.
    """
    try:
        stated = read_contract(folder)
    except UserError:
        return False
    return stated is not None and all(entry.is_file() and entry.name in FILES for entry in folder.iterdir())


def _probe(engine: Engine, stated: Contract, tokenizer: PreTrainedTokenizerBase) -> None:
    """Tries a text as long as they come, so that an export that contradicts itself is found when it is loaded."""
    length = min(stated.max_length, PROBED_TOKENS)
    ids = tokenizer("a " * length, truncation=True, max_length=length)["input_ids"]
    classes = engine({"input_ids": torch.tensor([ids])}).shape[-1]
    if classes != len(stated.labels):
        raise UserError(f"it names {len(stated.labels)} labels, and its network has {classes}")


def _engine(folder: Path, stated: Contract, backbone: str | None, tokenizer: PreTrainedTokenizerBase) -> Engine:
    if (folder / ONNX_FILE).is_file():
        return OnnxEngine((folder / ONNX_FILE).read_bytes())
    if (folder / "adapter_config.json").is_file():
        network, lost = load_adapter(folder, stated, backbone, tokenizer)
    else:
        network, report = pretrained.read_network(folder, output_loading_info=True)
        lost = unloaded(report)
    if lost:
        raise UserError(f"{listed(lost)}; export it again")
    return TransformersEngine(network)
