"""A trained model as a folder for other programs: transformers, peft, or ONNX Runtime."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from emotion_lit import platforms
from emotion_lit.data.padding import LEFT, RIGHT, Padding
from emotion_lit.errors import UserError
from emotion_lit.files import write_text
from emotion_lit.inference.merged import merged_network, temper
from emotion_lit.inference.onnx_files import write_int8, write_onnx
from emotion_lit.model.backbone import EMBEDDED, load_network, set_pad_token
from emotion_lit.model.classifier import EmotionClassifier
from emotion_lit.model.pooling import Network

# Where the embedded encoder is on the Hub.
EMBEDDED_ON_HUB = "sentence-transformers/all-MiniLM-L6-v2"
LABELS_FILE = "labels.json"
# Everything that an export may hold.
FILES = (
    *("README.md", LABELS_FILE, "config.json", "model.safetensors", "model.onnx", "model_int8.onnx"),
    *("adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "tokenizer_config.json"),
    *("special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt"),
    *("spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "chat_template.jinja"),
)


@dataclass(frozen=True)
class Description:
    """What an export says of itself.

    Args:
        labels: The classes in the order of their ids.
        multi_label: Whether a text may have several of them.
        thresholds: From which probability on each is predicted, if it may.
        max_length: Where texts are cut, in tokens.
        base_model: The name of the base model.
    """

    labels: list[str]
    multi_label: bool
    thresholds: list[float] | None
    max_length: int
    base_model: str


def base_name(model: EmotionClassifier) -> str:
    """The name of the base model as others know it: a Hub id, or the name of a folder without its path.

    Args:
        model: The model.
    """
    if model.backbone == EMBEDDED:
        return EMBEDDED_ON_HUB
    return Path(model.backbone).name if Path(model.backbone).is_dir() else platforms.last_name(model.backbone)


def write_hf(model: EmotionClassifier, folder: Path, max_length: int) -> None:
    """Writes what `transformers.pipeline` loads: adapters merged, probabilities as ours.

    Args:
        model: A trained model.
        folder: Where to.
        max_length: Where texts are cut, in tokens.

    Raises:
        UserError: Its head is not one of transformers'.
    """
    _need_own_head(model, "hf")
    network = merged_network(model).body
    network.config.emotion_lit = _description(model, max_length)
    network.save_pretrained(folder)
    _save_tokenizer(model, folder, max_length)


def write_adapter(model: EmotionClassifier, folder: Path, max_length: int) -> None:
    """Writes what `PeftModel.from_pretrained` loads, the head included.

    Args:
        model: A trained model.
        folder: Where to.
        max_length: Where texts are cut, in tokens.

    Raises:
        UserError: It has no adapters, or its head is not one of transformers'.
    """
    if model.tuning != "lora":
        raise UserError(f"a checkpoint with model.tuning {model.tuning} has no adapter; export it with --format hf")
    _need_own_head(model, "adapter")
    network = model.built
    base = load_network(model.backbone, model.labels, model.multi_label, None)
    set_pad_token(base, model.tokenizer)
    head = sorted({_module_of(name.removeprefix("body.")) for name, _ in network.head_parameters()})
    adapted = {name: module for name, module in network.encoder.named_modules() if hasattr(module, "lora_A")}
    config = LoraConfig(
        task_type="SEQ_CLS",
        r=model.lora.rank,
        lora_alpha=model.lora.alpha,
        lora_dropout=model.lora.dropout,
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
    temper(_last_layer(tuned, network), model.temperature)
    tuned.peft_config["default"].base_model_name_or_path = base_name(model)
    tuned.save_pretrained(folder, save_embedding_layers=False)
    _save_tokenizer(model, folder, max_length)
    _write_labels(model, folder, max_length)


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


def write_onnx_folder(model: EmotionClassifier, folder: Path, max_length: int) -> None:
    """Writes the network as ONNX, in single precision and with 8-bit weights, its tokenizer and labels.

    Args:
        model: A trained model.
        folder: Where to.
        max_length: Where texts are cut, in tokens.

    Raises:
        UserError: The packages for ONNX are missing, or the architecture cannot be written.
    """
    write_onnx(model, folder / "model.onnx")
    write_int8(folder / "model.onnx", folder / "model_int8.onnx")
    _save_tokenizer(model, folder, max_length)
    _bake(model, folder, max_length)
    _write_labels(model, folder, max_length)


def _bake(model: EmotionClassifier, folder: Path, max_length: int) -> None:
    """Puts truncation and padding into tokenizer.json, for those who load it with `tokenizers` alone."""
    backend: Any = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise UserError(f"{type(model.tokenizer).__name__} has no tokenizer.json, which ONNX needs; export with hf")
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(backend.to_str())
    tokenizer.enable_truncation(max_length)
    padding = Padding.of(model.tokenizer)
    side = LEFT if padding.left else RIGHT
    tokenizer.enable_padding(direction=side, pad_id=padding.token, pad_token=str(model.tokenizer.pad_token))
    tokenizer.save(str(folder / "tokenizer.json"))


def _need_own_head(model: EmotionClassifier, kind: str) -> None:
    if model.pooling != "cls":
        raise UserError(
            f"transformers has no head like that of model.pooling {model.pooling}, so --format {kind} cannot be; "
            "export with --format onnx, or train with --model.pooling cls"
        )


def _description(model: EmotionClassifier, max_length: int) -> dict[str, Any]:
    thresholds = model.thresholds if model.multi_label else None
    return asdict(Description(model.labels, model.multi_label, thresholds, max_length, base_name(model)))


def _write_labels(model: EmotionClassifier, folder: Path, max_length: int) -> None:
    text = json.dumps(_description(model, max_length), indent=2, ensure_ascii=False)
    write_text(folder / LABELS_FILE, text + "\n")


def _save_tokenizer(model: EmotionClassifier, folder: Path, max_length: int) -> None:
    tokenizer = model.tokenizer
    longest, tokenizer.model_max_length = tokenizer.model_max_length, max_length
    try:
        tokenizer.save_pretrained(folder)
    finally:
        tokenizer.model_max_length = longest
