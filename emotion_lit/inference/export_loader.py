"""Loads folders that `export` wrote."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from transformers import PreTrainedTokenizerBase

from emotion_lit.errors import UserError
from emotion_lit.inference.adapter_loader import load_adapter
from emotion_lit.inference.engines import Engine, TorchEngine
from emotion_lit.inference.export_contract import (
    Contract,
    check_configuration,
    check_format,
    check_tokenizer,
    check_weights,
    read_contract,
)
from emotion_lit.inference.export_files import ADAPTER_CONFIG, FILES, ONNX_FILE
from emotion_lit.inference.onnx_engine import OnnxEngine
from emotion_lit.model import checkpoint as checkpoints
from emotion_lit.model import pretrained
from emotion_lit.model.backbone import describe_missing_weights, quiet_transformers, unloaded
from emotion_lit.model.decision import Decision
from emotion_lit.model.network import Network
from emotion_lit.model.settings import ModelSettings
from emotion_lit.utils.paths import expanded

# The length of the text on which an export is tried when it is loaded, in tokens.
TRIED_TOKENS = 2048


@dataclass(frozen=True)
class LoadedExport:
    """An export that is ready to predict.

    Args:
        engine: Computes its probabilities.
        tokenizer: Its tokenizer.
        decision: How probabilities become labels.
        max_length: The maximum length of a text, in tokens.
        weights_sha256: The hash of its files of weights.
    """

    engine: Engine
    tokenizer: PreTrainedTokenizerBase
    decision: Decision
    max_length: int
    weights_sha256: str


@dataclass(frozen=True)
class Export:
    """A folder that `export` wrote.

    Args:
        folder: The folder.
        contract: What its ``labels.json`` states.
    """

    folder: Path
    contract: Contract

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Reads the contract of an export; nothing else is loaded.

        Args:
            path: The folder.

        Raises:
            UserError: It is not an export, or it is damaged.
        """
        folder = Path(expanded(path))
        contract = read_contract(folder)
        if contract is None:
            raise UserError(f"{path} is a model of transformers that `export` did not write; give a checkpoint")
        return cls(folder, contract)

    @property
    def decision(self) -> Decision:
        """How its probabilities become labels.

        Raises:
            UserError: Its labels or thresholds are not those of a classifier.
        """
        return ModelSettings(**self.as_checkpoint()[checkpoints.MODEL_KEY]).decision

    def as_checkpoint(self) -> checkpoints.Checkpoint:
        """The settings of the model and the data, as a checkpoint has them."""
        model = {
            "labels": self.contract.labels,
            "multi_label": self.contract.multi_label,
            "backbone": str(self.folder),
            "threshold": self.contract.thresholds,
            "temperature": self.contract.temperature,
        }
        data = {"max_length": self.contract.max_length, "multi_label": self.contract.multi_label}
        return {checkpoints.MODEL_KEY: model, checkpoints.DATA_KEY: data}

    def check_engine(self, engine: str, quantize: str) -> None:
        """Checks that the engine that is asked for is the export's own.

        Args:
            engine: ``prediction.engine``.
            quantize: ``prediction.quantize``.

        Raises:
            UserError: It is another one.
        """
        own = "onnx" if (self.folder / ONNX_FILE).is_file() else "torch"
        if engine not in ("torch", own) or quantize != "none":
            raise UserError(
                f"{self.folder} is an export, which {'ONNX Runtime' if own == 'onnx' else 'PyTorch'} computes; leave "
                "out prediction.engine and prediction.quantize, or give the checkpoint"
            )

    def load(
        self, backbone: str | None = None, decision: Decision | None = None, device: str | torch.device = "cpu"
    ) -> LoadedExport:
        """Loads the tokenizer and the network, and tries them on a text of full length.

        Args:
            backbone: Where the base model of an adapter is, if not where the contract says.
            decision: How logits become labels, if not as the contract says.
            device: The device of a network in PyTorch; ONNX Runtime uses the CPU.

        Raises:
            UserError: The export is damaged, or the base model cannot be loaded, or is another one than the adapter
                was trained on.
        """
        if backbone == str(self.folder):  # of a model without an adapter
            backbone = None
        with quiet_transformers(), pretrained.errors_of(f"the exported folder {self.folder}"):
            check_format(self.folder, self.contract)
            check_configuration(self.folder, self.contract)
            tokenizer = pretrained.read_tokenizer(self.folder)
            check_tokenizer(tokenizer, self.contract)
            decision = decision or self.decision
            engine = self._engine(backbone, decision, tokenizer)
            weights_sha256 = check_weights(self.folder, self.contract)
            self._try(engine, tokenizer)
        if isinstance(engine, TorchEngine):
            engine.to(device)
        return LoadedExport(engine, tokenizer, decision, self.contract.max_length, weights_sha256)

    def _engine(self, backbone: str | None, decision: Decision, tokenizer: PreTrainedTokenizerBase) -> Engine:
        if (self.folder / ONNX_FILE).is_file():
            return OnnxEngine((self.folder / ONNX_FILE).read_bytes(), decision)
        network: Any
        if (self.folder / ADAPTER_CONFIG).is_file():
            network, missing = load_adapter(self.folder, self.contract, backbone, tokenizer)
        else:
            network, report = pretrained.read_network(self.folder, output_loading_info=True)
            missing = unloaded(report)
        if missing:
            raise UserError(f"{describe_missing_weights(missing)}; export it again")
        return TorchEngine(Network(network, "cls"), decision)

    @torch.inference_mode()
    def _try(self, engine: Engine, tokenizer: PreTrainedTokenizerBase) -> None:
        """Predicts a text of full length, which fails here if the files contradict each other."""
        length = min(self.contract.max_length, TRIED_TOKENS)
        ids = tokenizer("a " * length, truncation=True, max_length=length)["input_ids"]
        classes = engine({"input_ids": torch.tensor([ids])}).shape[-1]
        if classes != len(self.contract.labels):
            raise UserError(f"it names {len(self.contract.labels)} labels, and its network has {classes}")


def contains_only_export(folder: Path) -> bool:
    """Whether `export` wrote a folder, and it contains nothing else.

    Args:
        folder: The folder.
    """
    try:
        contract = read_contract(folder)
    except UserError:
        return False
    return contract is not None and all(entry.is_file() and entry.name in FILES for entry in folder.iterdir())
