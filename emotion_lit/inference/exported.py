"""Loads what `export` wrote."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from emotion_lit.data.batching import Batch
from emotion_lit.errors import UserError
from emotion_lit.inference.engines import Engine, OnnxEngine
from emotion_lit.inference.exports import EMBEDDED_ON_HUB, LABELS_FILE
from emotion_lit.model.backbone import EMBEDDED, EMBEDDED_PACKAGE, load_network, quiet_transformers
from emotion_lit.model.classifier import EmotionClassifier


class TransformersEngine:
    """A network of transformers or peft.

    Args:
        network: The network.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval()

    def __call__(self, batch: Batch) -> Tensor:
        """Logits of a batch, ``[batch, classes]``.

        Args:
            batch: ``input_ids`` and, where there is padding, ``attention_mask``, both ``[batch, tokens]``.
        """
        output: Any = self.network(input_ids=batch["input_ids"], attention_mask=batch.get("attention_mask"))
        return output.logits  # type: ignore[no-any-return]


def load_exported(folder: Path, backbone: str | None = None) -> tuple[EmotionClassifier, int] | None:
    """Loads a folder that `export` wrote.

    Args:
        folder: The folder.
        backbone: Where the base model of an adapter is, if not where its name says.

    Returns:
        A model, and where its texts are cut, in tokens; None for a path of another kind.

    Raises:
        UserError: The folder is damaged, or the base model cannot be loaded.
    """
    if not folder.is_dir():
        return None
    described = _description(folder)
    if described is None:
        return None
    model = EmotionClassifier(
        described["labels"],
        multi_label=described["multi_label"],
        backbone=described["base_model"],
        threshold=described["thresholds"],
        temperature=1.0,  # it is in the weights
    )
    with quiet_transformers():
        model.engine = _engine(folder, described, backbone)
        model._tokenizer = AutoTokenizer.from_pretrained(str(folder))
    return model, int(described["max_length"])


def is_exported(folder: Path) -> bool:
    """Whether a folder is one that `export` wrote.

    Args:
        folder: The folder.
    """
    return _description(folder) is not None


def _description(folder: Path) -> dict[str, Any] | None:
    for name, key in ((LABELS_FILE, None), ("config.json", "emotion_lit")):
        file = folder / name
        if file.is_file():
            try:
                content = json.loads(file.read_text(encoding="utf-8"))
            except ValueError as error:
                raise UserError(f"{file} is damaged ({error}); export it again") from error
            described: dict[str, Any] | None = content.get(key) if key else content
            return described
    return None


def _engine(folder: Path, described: dict[str, Any], backbone: str | None) -> Engine:
    if (folder / "model.onnx").is_file():
        return OnnxEngine(folder / "model.onnx")
    if not (folder / "adapter_config.json").is_file():
        network = AutoModelForSequenceClassification.from_pretrained(str(folder), dtype=torch.float32)
        return TransformersEngine(network)
    name = described["base_model"]
    if name == EMBEDDED_ON_HUB and importlib.util.find_spec(EMBEDDED_PACKAGE):
        name = EMBEDDED  # the same weights
    base = load_network(backbone or name, described["labels"], described["multi_label"], None)
    return TransformersEngine(PeftModel.from_pretrained(base, str(folder)))
