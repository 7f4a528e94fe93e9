"""Loads adapters that `export` wrote, merged into the base model that they were trained on."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from emotion_lit.errors import UserError
from emotion_lit.inference.export_contract import Contract
from emotion_lit.inference.export_files import ADAPTER_CONFIG
from emotion_lit.inference.origins import EMBEDDED_ON_HUB
from emotion_lit.model import checkpoint as checkpoints
from emotion_lit.model.backbone import EMBEDDED, EMBEDDED_PACKAGE, load_network, network_sha256, set_pad_token
from emotion_lit.model.checkpoint.schema import LARGEST
from emotion_lit.model.checkpoint.type_checks import is_of
from emotion_lit.model.lora_weights import LoraMismatchError, lora_keys, merge_lora
from emotion_lit.model.tuning import LINEAR

# The settings of adapters, with their types.
ADAPTERS: dict[str, Any] = {
    "r": int,
    "lora_alpha": float,
    "lora_dropout": float,
    "fan_in_fan_out": bool,
    "target_modules": list[str],
    "modules_to_save": list[str],
}
PREFIX = "base_model.model."


def load_adapter(
    folder: Path, stated: Contract, backbone: str | None, tokenizer: PreTrainedTokenizerBase
) -> tuple[PreTrainedModel, list[str]]:
    """Loads a base model and merges an adapter and its head into it.

    Args:
        folder: The export.
        stated: Its contract.
        backbone: Where the base model is, if not where the contract says.
        tokenizer: The tokenizer of the export.

    Returns:
        The network, and the names of the adapter's weights that the folder lacks.

    Raises:
        UserError: The base model cannot be loaded, or is another one than the adapter was trained on.
    """
    name = backbone or _base_of(folder, stated)
    base = load_network(name, stated.labels, stated.multi_label, None)
    if stated.network_sha256:
        tokenizers = stated.tokenizer_sha256 or ""  # the adapter brings its own
        checkpoints.check_identity(
            {"name": name, "network_sha256": network_sha256(base), "tokenizer_sha256": tokenizers},
            {"name": stated.base_model, "network_sha256": stated.network_sha256, "tokenizer_sha256": tokenizers},
            what="the adapter",
            option="backbone=FOLDER",
        )
    set_pad_token(base, tokenizer)
    return base, _merge(base, folder, _settings(folder))


@torch.no_grad()
def _merge(network: nn.Module, folder: Path, settings: dict[str, Any]) -> list[str]:
    """Merges the weights of an adapter; returns the names of those that are missing."""
    found = {
        name.removeprefix(PREFIX): weight for name, weight in load_file(folder / "adapter_model.safetensors").items()
    }
    layers = [name for name, module in network.named_modules() if isinstance(module, LINEAR)]
    adapted = [name for name in layers if any(f".{name}".endswith(f".{one}") for one in settings["target_modules"])]
    saved = settings["modules_to_save"]
    head = {
        name: weight
        for name, weight in network.state_dict().items()
        if any(part in saved for part in name.split(".")[:-1])
    }
    adapted = [name for name in adapted if f"{name}.weight" not in head]
    missing = sorted((lora_keys(adapted) | head.keys()) - found.keys())
    if missing:
        return missing
    try:
        merge_lora(network, {name: found[name] for name in lora_keys(adapted)}, settings["lora_alpha"] / settings["r"])
    except LoraMismatchError as error:
        raise UserError(f"its adapter does not fit the base model: {error}; export it again") from error
    for name, weight in head.items():
        if weight.shape != found[name].shape:
            raise UserError(f"its {name} has another shape than the base model's; export it again")
        weight.copy_(found[name])
    return []


def _base_of(folder: Path, stated: Contract) -> str:
    """The folder of the base model of an adapter: the original one, or one next to the adapter.

    Raises:
        UserError: It was a folder, which is in neither place.
    """
    name = stated.base_model
    if name == EMBEDDED_ON_HUB and importlib.util.find_spec(EMBEDDED_PACKAGE):
        return EMBEDDED  # the same weights
    if not stated.base_is_folder:
        return name
    beside = folder.resolve().parent / Path(name).name
    found = next((place for place in (Path(name), beside) if place.is_dir()), None)
    if found is None:
        raise UserError(
            f"its base model, the folder {name} (weights {(stated.network_sha256 or '')[:12]}), is neither there nor "
            f"next to it; give it with backbone=FOLDER, or export with --format hf"
        )
    return str(found)


def _settings(folder: Path) -> dict[str, Any]:
    """The settings of an adapter as `export` writes them."""
    content = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    values: dict[str, Any] = {key: content.get(key) for key in ADAPTERS} if isinstance(content, dict) else {}
    odd = any(not is_of(values.get(key), kind) for key, kind in ADAPTERS.items())
    if odd or content.get("peft_type") != "LORA" or not 1 <= values["r"] <= LARGEST["rank"]:
        raise UserError(f"its {ADAPTER_CONFIG} is not as `export` writes it; export it again")
    return values
