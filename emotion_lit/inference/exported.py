"""Loads what `export` wrote."""

import importlib.util
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict
from safetensors import safe_open
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from emotion_lit.data.batching import Batch
from emotion_lit.errors import UserError
from emotion_lit.files import reason_of
from emotion_lit.inference.engines import Engine
from emotion_lit.inference.exports import EMBEDDED_ON_HUB, FILES, LABELS_FILE, Description
from emotion_lit.inference.onnx_files import OnnxEngine
from emotion_lit.model import pretrained
from emotion_lit.model.backbone import (
    EMBEDDED,
    EMBEDDED_PACKAGE,
    listed,
    load_network,
    quiet_transformers,
    set_pad_token,
    unloaded,
)
from emotion_lit.model.checkpoint_contents import MOST, is_of
from emotion_lit.model.classifier import EmotionClassifier

# The length of the text that an export is tried on when it is loaded.
PROBED_TOKENS = 2048
# The settings of adapters, with their types.
ADAPTERS: dict[str, Any] = {
    "r": int,
    "lora_alpha": float,
    "lora_dropout": float,
    "fan_in_fan_out": bool,
    "target_modules": list[str],
    "modules_to_save": list[str],
}


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
    described = _description(folder)
    if described is None:
        return None
    with quiet_transformers(), pretrained.errors_of(f"the exported folder {folder}"):
        model = EmotionClassifier(
            described.labels,
            multi_label=described.multi_label,
            backbone=described.base_model,
            threshold=described.thresholds,
            temperature=1.0,  # it is in the weights
        )
        model._tokenizer = pretrained.read_tokenizer(folder)
        model.engine = _engine(folder, described, backbone, model.tokenizer)
        _probe(model.engine, described, model.tokenizer)
    return model, described.max_length


def is_exported(folder: Path) -> bool:
    """Whether a folder is one that `export` wrote, and holds nothing else.

    Args:
        folder: The folder.
    """
    try:
        described = _description(folder)
    except UserError:
        return False
    return described is not None and all(entry.is_file() and entry.name in FILES for entry in folder.iterdir())


def _description(folder: Path) -> Description | None:
    """What an export says of itself; None where the folder is none.

    Raises:
        UserError: It is damaged.
    """
    for name, key in ((LABELS_FILE, None), ("config.json", "emotion_lit")):
        file = folder / name
        if not file.is_file():
            continue
        try:
            if file.stat().st_size > pretrained.MOST_TEXT:
                raise ValueError(f"it has {file.stat().st_size:,} bytes")
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{file} is damaged ({reason_of(error)}); export it again") from error
        if key and not (isinstance(content, dict) and key in content):
            return None
        return _checked(content[key] if key else content, file)
    return None


def _checked(content: Any, file: Path) -> Description:
    odd = not is_of(content, Description) or content.keys() != {one.name for one in fields(Description)}
    if not odd:
        described = Description(**content)
        labels = described.labels
        odd = len(set(labels)) < len(labels) or not all(labels) or not 1 <= described.max_length <= MOST["max_length"]
    if odd:
        names = ", ".join(one.name for one in fields(Description))
        raise UserError(f"{file} does not describe an export, which has {names}; export it again")
    return described


def _probe(engine: Engine, described: Description, tokenizer: PreTrainedTokenizerBase) -> None:
    """Tries a text as long as they come, so that an export that contradicts itself is found when it is loaded."""
    length = min(described.max_length, PROBED_TOKENS)
    ids = tokenizer("a " * length, truncation=True, max_length=length)["input_ids"]
    classes = engine({"input_ids": torch.tensor([ids])}).shape[-1]
    if classes != len(described.labels):
        raise UserError(f"it names {len(described.labels)} labels, and its network has {classes}")


def _engine(folder: Path, described: Description, backbone: str | None, tokenizer: PreTrainedTokenizerBase) -> Engine:
    if (folder / "model.onnx").is_file():
        return OnnxEngine(folder / "model.onnx")
    if (folder / "adapter_config.json").is_file():
        network, lost = _adapted(folder, described, backbone, tokenizer)
    else:
        network, report = pretrained.read_network(folder, output_loading_info=True)
        lost = unloaded(report)
    if lost:
        raise UserError(f"{listed(lost)}; export it again")
    return TransformersEngine(network)


def _adapted(
    folder: Path, described: Description, backbone: str | None, tokenizer: PreTrainedTokenizerBase
) -> tuple[nn.Module, list[str]]:
    """A base model with an adapter and its head, and the weights of these that the folder has not."""
    name = described.base_model
    if name == EMBEDDED_ON_HUB and importlib.util.find_spec(EMBEDDED_PACKAGE):
        name = EMBEDDED  # the same weights
    base = load_network(backbone or name, described.labels, described.multi_label, None)
    set_pad_token(base, tokenizer)
    network = PeftModel.from_pretrained(base, str(folder), config=_adapters(folder))
    with safe_open(folder / "adapter_model.safetensors", framework="pt") as file:
        found = set(file.keys())
    return network, sorted(set(get_peft_model_state_dict(network, save_embedding_layers=False)) - found)


def _adapters(folder: Path) -> LoraConfig:
    """The adapters as `export` writes them; other settings of peft import modules that they name."""
    content = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    values: dict[str, Any] = {key: content.get(key) for key in ADAPTERS} if isinstance(content, dict) else {}
    odd = any(not is_of(values.get(key), kind) for key, kind in ADAPTERS.items())
    if odd or content.get("peft_type") != "LORA" or values["r"] > MOST["rank"]:
        raise UserError("its adapter_config.json is not as `export` writes it; export it again")
    return LoraConfig(task_type="SEQ_CLS", inference_mode=True, **values)
