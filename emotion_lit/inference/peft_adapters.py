"""Adapters of peft that `export` wrote, on the base model that they were trained on."""

import importlib.util
import json
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model_state_dict
from safetensors import safe_open
from torch import nn
from transformers import PreTrainedTokenizerBase

from emotion_lit.errors import UserError
from emotion_lit.inference.export_contract import Contract
from emotion_lit.inference.origins import EMBEDDED_ON_HUB
from emotion_lit.model import checkpoint as checkpoints
from emotion_lit.model.backbone import EMBEDDED, EMBEDDED_PACKAGE, load_network, network_sha256, set_pad_token
from emotion_lit.model.checkpoint_contents import is_of
from emotion_lit.model.checkpoint_schema import LARGEST

# The settings of adapters, with their types.
ADAPTERS: dict[str, Any] = {
    "r": int,
    "lora_alpha": float,
    "lora_dropout": float,
    "fan_in_fan_out": bool,
    "target_modules": list[str],
    "modules_to_save": list[str],
}


def load_adapter(
    folder: Path, stated: Contract, backbone: str | None, tokenizer: PreTrainedTokenizerBase
) -> tuple[nn.Module, list[str]]:
    """A base model with an adapter and its head.

    Args:
        folder: The export.
        stated: What it states of itself.
        backbone: Where the base model is, if not where its name says.
        tokenizer: The tokenizer of the export.

    Returns:
        The network, and the weights of the adapter and the head that the folder has not.

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
    network = PeftModel.from_pretrained(base, str(folder), config=_adapters(folder))
    with safe_open(folder / "adapter_model.safetensors", framework="pt") as file:
        found = set(file.keys())
    return network, sorted(set(get_peft_model_state_dict(network, save_embedding_layers=False)) - found)


def _base_of(folder: Path, stated: Contract) -> str:
    """Where the base model of an adapter is: where it was, or beside the adapter.

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
            f"beside it; give it with backbone=FOLDER, or export with --format hf"
        )
    return str(found)


def _adapters(folder: Path) -> LoraConfig:
    """The adapters as `export` writes them; other settings of peft import modules that they name."""
    content = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    values: dict[str, Any] = {key: content.get(key) for key in ADAPTERS} if isinstance(content, dict) else {}
    odd = any(not is_of(values.get(key), kind) for key, kind in ADAPTERS.items())
    if odd or content.get("peft_type") != "LORA" or values["r"] > LARGEST["rank"]:
        raise UserError("its adapter_config.json is not as `export` writes it; export it again")
    return LoraConfig(task_type="SEQ_CLS", inference_mode=True, **values)
