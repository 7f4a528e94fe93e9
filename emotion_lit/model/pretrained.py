"""Loads tokenizers, configurations and networks with transformers, without running code and within the memory.

All uses of transformers' Auto classes are here.
"""

import contextlib
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from emotion_lit.errors import UserError

# Without this, transformers asks on standard input whether to run the code in a folder.
NO_CODE: dict[str, Any] = {"trust_remote_code": False}
# The files of the largest tokenizers have half of this size.
MOST_TEXT = 2**26
TEXTS = (".json", ".txt", ".model", ".jinja")
MOST_LAYERS = 1000


def read_tokenizer(source: str | Path) -> PreTrainedTokenizerBase:
    """Loads a tokenizer.

    Args:
        source: A folder or a Hub id.

    Raises:
        UserError: A file of the folder is too large, or the vocabulary is missing.
    """
    _check_texts(Path(source))
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(str(source), **NO_CODE)
    if tokenizer.vocab_size <= len(set(tokenizer.all_special_ids)):  # transformers builds an empty one
        raise UserError("its tokenizer has no vocabulary; tokenizer.json, or the vocabulary file, is missing or empty")
    return tokenizer


def read_config(source: str | Path) -> PretrainedConfig:
    """Loads the configuration of a network.

    Args:
        source: A folder or a Hub id.

    Raises:
        UserError: A file of the folder is too large, or the configuration needs code from the Hub.
    """
    _check_texts(Path(source))
    config: PretrainedConfig = AutoConfig.from_pretrained(str(source), **NO_CODE)
    attention = getattr(config, "_attn_implementation", None)
    if isinstance(attention, str) and "/" in attention:
        raise UserError(f"its config.json loads the attention {attention} from the Hub, which is code; remove it")
    return config


def read_network(source: str | Path, config: PretrainedConfig | None = None, **options: Any) -> Any:
    """Loads a network for sequence classification, in single precision.

    `safetensors` files are preferred to pickles, of which only tensors are loaded.

    Args:
        source: A folder or a Hub id.
        config: Its configuration; by default the one in the folder or repository.
        options: Other arguments of ``from_pretrained``.

    Raises:
        UserError: It does not fit in memory.
    """
    config = config or read_config(source)
    _check_size(config)
    # transformers 5 keeps the dtype of the file by default, and training in half precision fails.
    return AutoModelForSequenceClassification.from_pretrained(
        str(source), config=config, dtype=torch.float32, **NO_CODE, **options
    )


def make_network(config: PretrainedConfig) -> PreTrainedModel:
    """An untrained network for sequence classification, in single precision.

    Args:
        config: Its configuration.

    Raises:
        UserError: It does not fit in memory.
    """
    _check_size(config)
    make: Any = AutoModelForSequenceClassification.from_config
    network: PreTrainedModel = make(config, dtype=torch.float32, **NO_CODE)
    return network


def _check_texts(folder: Path) -> None:
    for file in folder.iterdir() if folder.is_dir() else ():
        if file.suffix in TEXTS and file.is_file() and (size := file.stat().st_size) > MOST_TEXT:
            raise UserError(
                f"{file.name} has {size / 2**20:,.0f} MiB, more than the {MOST_TEXT / 2**20:.0f} MiB that a tokenizer "
                "or a configuration may have"
            )


def _check_size(config: PretrainedConfig) -> None:
    """Checks the size of a network without allocating it."""
    layers = getattr(config, "num_hidden_layers", 0)
    if isinstance(layers, int) and layers > MOST_LAYERS:
        raise UserError(f"its config.json has {layers:,} layers; no network has more than {MOST_LAYERS:,}")
    make: Any = AutoModelForSequenceClassification.from_config
    with torch.device("meta"):
        network = make(config, dtype=torch.float32, **NO_CODE)
    needed = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    there = psutil.virtual_memory().total
    if needed > there:
        raise UserError(
            f"its config.json describes a network of {needed / 2**30:,.0f} GiB, and this machine has "
            f"{there / 2**30:,.0f} GiB of memory"
        )


@contextlib.contextmanager
def errors_of(what: str) -> Iterator[None]:
    """Turns all errors that libraries raise about unreadable files into a `UserError`.

    Args:
        what: What is loaded, such as ``the backbone folder x``.

    Raises:
        UserError: It cannot be loaded.
    """
    try:
        yield
    except UserError as error:
        raise UserError(f"{what} cannot be loaded: {error}") from error
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:
        # A panic in a library written in Rust is a BaseException.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise UserError(f"{what} cannot be loaded: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """The reason why something cannot be loaded, in one line.

    Args:
        error: The error of the library.
    """
    text, cause = str(error), error
    while cause is not None:
        if isinstance(cause, pickle.UnpicklingError) or "weights_only" in str(cause):
            return "its pickled weights contain more than tensors, which may be code; it needs model.safetensors"
        cause = cause.__cause__ or cause.__context__  # type: ignore[assignment]
    if "custom code" in text or "trust_remote_code" in text:
        return "it needs custom code, which is never run; choose a model that transformers supports"
    lines = text.strip().split("\n")
    first = lines[:2] if lines[0].rstrip().endswith(":") else lines[:1]  # PyTorch names the weights on the next line
    line = " ".join(" ".join(first).split())[:200]
    return f"{type(error).__name__} {line}".strip() if isinstance(error, LookupError) or not line else line
