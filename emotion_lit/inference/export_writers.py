"""A trained model as a folder for other programs: transformers, peft, or ONNX Runtime."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from emotion_lit.data.tokenization import tokenizer_sha256
from emotion_lit.errors import UserError
from emotion_lit.inference.export_contract import CONFIG_KEY, PROBLEM_TYPES, Contract, stated_in_config
from emotion_lit.inference.export_files import INT8_FILE, ONNX_FILE, TOKENIZER_CONFIG, Format, weight_hashes
from emotion_lit.inference.lora_merge import divide_logits, merged_network
from emotion_lit.inference.onnx_engine import need_onnx
from emotion_lit.inference.onnx_export import write_int8, write_onnx
from emotion_lit.model import pretrained
from emotion_lit.model.backbone import load_network, set_pad_token
from emotion_lit.model.factory import TrainedNetwork
from emotion_lit.model.network import Network

# What a network was trained with; some tokenizers also number the parts of a text, which it never saw.
INPUTS = ["input_ids", "attention_mask"]


def write_export(model: TrainedNetwork, folder: Path, format: Format, base: str) -> Contract:
    """Writes an export without its model card.

    Args:
        model: A trained model.
        folder: The folder.
        format: The format.
        base: The name of the base model.

    Returns:
        The contract of the export.

    Raises:
        UserError: The model cannot be written in this format.
    """
    tokenizer: Any = model.tokenizer
    decision = model.decision
    write = {"hf": _write_hf, "adapter": _write_adapter, "onnx": _write_onnx}[format]
    _check_format(model, format)
    _save_tokenizer(model, folder)
    if format == "onnx":
        _save_truncation(model, folder)
    stated = Contract(
        labels=list(decision.labels),
        multi_label=decision.multi_label,
        thresholds=list(decision.thresholds) if decision.multi_label else None,
        max_length=model.max_length,
        base_model=base,
        temperature_in_weights=decision.temperature,
        padding_side=tokenizer.padding_side,
        truncation_side=tokenizer.truncation_side,
        pooling=model.network.pooling,
        network_sha256=model.identity["network_sha256"],
        tokenizer_sha256=tokenizer_sha256(pretrained.read_tokenizer(folder)),
    )
    write(model, folder, stated)
    stated = replace(stated, weights=weight_hashes(folder))
    stated.write(folder)
    return stated


def remove_int8(folder: Path, stated: Contract) -> None:
    """Removes the file of 8-bit weights.

    Args:
        folder: An export.
        stated: Its contract.
    """
    (folder / INT8_FILE).unlink()
    replace(stated, weights=weight_hashes(folder)).write(folder)


def _check_format(model: TrainedNetwork, format: Format) -> None:
    if format == "onnx":
        need_onnx()
        return
    if format == "adapter" and model.settings.tuning != "lora":
        tuning = model.settings.tuning
        raise UserError(f"a checkpoint with model.tuning {tuning} has no adapter; export it with --format hf")
    if model.network.pooling != "cls":
        raise UserError(
            f"transformers has no head like that of model.pooling {model.network.pooling}, so --format {format} "
            "cannot be; export with --format onnx, or train with --model.pooling cls"
        )


def _write_hf(model: TrainedNetwork, folder: Path, stated: Contract) -> None:
    """Writes a model for `transformers.pipeline`: adapters are merged, and probabilities are calibrated."""
    network = merged_network(model).body
    _state(network.config, stated)
    network.save_pretrained(folder)


def _write_adapter(model: TrainedNetwork, folder: Path, stated: Contract) -> None:
    """Writes an adapter for `PeftModel.from_pretrained`, with the head, and the configuration for its base model."""
    from peft import LoraConfig, get_peft_model

    network = model.network
    base = load_network(model.settings.backbone, model.decision.labels, model.decision.multi_label, None)
    set_pad_token(base, model.tokenizer)
    head = sorted({_module_of(name.removeprefix("body.")) for name, _ in network.head_parameters()})
    adapted = {name: module for name, module in network.encoder.named_modules() if hasattr(module, "lora_A")}
    config = LoraConfig(
        task_type="SEQ_CLS",
        r=model.settings.lora.rank,
        lora_alpha=model.settings.lora.alpha,
        lora_dropout=model.settings.lora.dropout,
        target_modules=list(adapted),
        fan_in_fan_out=any(getattr(module, "fan_in_fan_out", False) for module in adapted.values()),
        modules_to_save=head,
        inference_mode=True,
    )
    tuned: Any = get_peft_model(base, config)
    weights = network.body.state_dict()
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if "lora_" in name or ".modules_to_save." in name:
                ours = name.removeprefix("base_model.model.").replace("modules_to_save.default.", "")
                parameter.copy_(weights[ours])
    divide_logits(_last_layer(tuned, network), model.decision.temperature)
    tuned.peft_config["default"].base_model_name_or_path = stated.base_model
    tuned.save_pretrained(folder, save_embedding_layers=False)
    _save_config(base.config, folder, stated)


def _write_onnx(model: TrainedNetwork, folder: Path, stated: Contract) -> None:
    """Writes the network as ONNX, in single precision and with 8-bit weights."""
    write_onnx(model, folder / ONNX_FILE)
    write_int8(folder / ONNX_FILE, folder / INT8_FILE)
    _save_config(model.network.body.config, folder, stated)


def _state(config: Any, stated: Contract) -> None:
    """Adds labels, problem type and contract to a configuration, where transformers and others read them."""
    config.id2label = dict(enumerate(stated.labels))
    config.label2id = {label: place for place, label in enumerate(stated.labels)}
    config.problem_type = PROBLEM_TYPES[stated.multi_label]
    setattr(config, CONFIG_KEY, dict(stated_in_config(stated)))
    if hasattr(config, "use_mems_eval"):  # XLNet's memories of earlier texts, which a pipeline cannot share out
        config.use_mems_eval = False


def _save_config(config: Any, folder: Path, stated: Contract) -> None:
    own = copy.deepcopy(config)
    _state(own, stated)
    own.save_pretrained(folder)


def _last_layer(tuned: nn.Module, network: Network) -> nn.Linear:
    """The last layer of the head in peft's model, which keeps a trained copy of every part of the head."""
    name = next(name for name, module in network.body.named_modules() if module is network.classifier)
    part, *rest = name.split(".")
    found = tuned.get_submodule(".".join(["base_model.model", part, "modules_to_save.default", *rest]))
    if not isinstance(found, nn.Linear):
        raise UserError(f"the head ends in {type(found).__name__}, which no adapter can be written for; export with hf")
    return found


def _module_of(name: str) -> str:
    """The part of the head as peft names it: the last module above the layers, such as ``pooler`` or ``classifier``."""
    parts = name.split(".")
    return "pooler" if "pooler" in parts else parts[0]


def _save_tokenizer(model: TrainedNetwork, folder: Path) -> None:
    """Saves the tokenizer with its maximum length, sides and inputs, which callers may leave out."""
    model.tokenizer.save_pretrained(folder)
    file = folder / TOKENIZER_CONFIG
    config = json.loads(file.read_text(encoding="utf-8"))
    config |= {
        "model_max_length": model.max_length,
        "padding_side": model.tokenizer.padding_side,
        "truncation_side": model.tokenizer.truncation_side,
        "model_input_names": INPUTS,
    }
    file.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _save_truncation(model: TrainedNetwork, folder: Path) -> None:
    """Adds truncation and padding to tokenizer.json, for programs that load it with `tokenizers` alone."""
    backend: Any = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise UserError(f"{type(model.tokenizer).__name__} has no tokenizer.json, which ONNX needs; export with hf")
    from tokenizers import Tokenizer

    own = model.tokenizer
    tokenizer = Tokenizer.from_str(backend.to_str())
    tokenizer.enable_truncation(model.max_length, direction=own.truncation_side)
    tokenizer.enable_padding(
        pad_id=int(own.pad_token_id or 0), pad_token=str(own.pad_token), direction=own.padding_side
    )
    tokenizer.save(str(folder / "tokenizer.json"))
