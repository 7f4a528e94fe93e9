"""The files of an export: their names, and the hashes of those with weights."""

import hashlib
from pathlib import Path
from typing import Literal

LABELS_FILE = "labels.json"
CONFIG_FILE = "config.json"
ONNX_FILE, INT8_FILE = "model.onnx", "model_int8.onnx"
ADAPTER_CONFIG, TOKENIZER_CONFIG = "adapter_config.json", "tokenizer_config.json"
# The files with weights; an export has those of its own format, and no others.
WEIGHT_FILES = ("model.safetensors", "adapter_model.safetensors", ONNX_FILE, INT8_FILE)
# All files that an export may have.
FILES = (
    *("README.md", LABELS_FILE, CONFIG_FILE, *WEIGHT_FILES),
    *(ADAPTER_CONFIG, "tokenizer.json", TOKENIZER_CONFIG),
    *("special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt"),
    *("spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "chat_template.jinja"),
)

Format = Literal["hf", "adapter", "onnx"]


def weight_hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 hashes of the weight files in a folder.

    Args:
        folder: An export.
    """
    return {name: file_sha256(folder / name) for name in WEIGHT_FILES if (folder / name).is_file()}


def file_sha256(file: Path) -> str:
    """The SHA-256 hash of a file.

    Args:
        file: The file.
    """
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
