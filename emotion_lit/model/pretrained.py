"""What transformers reads of folders and of the Hub: never code, and no more than the memory holds.

Everything that is loaded with an Auto class is loaded here.
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

# Without it, transformers asks on standard input whether to run the code that a folder brings along.
NO_CODE: dict[str, Any] = {"trust_remote_code": False}
# The largest tokenizers take half of it.
MOST_TEXT = 2**26
TEXTS = (".json", ".txt", ".model", ".jinja")
MOST_LAYERS = 1000


def read_tokenizer(source: str | Path) -> PreTrainedTokenizerBase:
    """A tokenizer.

    Args:
        source: A folder or a Hub id.

    Raises:
        UserError: A file of the folder is too large, or the vocabulary is missing.
    """
    _check_texts(Path(source))
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(str(source), **NO_CODE)
    if tokenizer.vocab_size <= len(set(tokenizer.all_special_ids)):  # transformers makes one out of nothing
        raise UserError("its tokenizer has no words; tokenizer.json, or the vocabulary, is missing or empty")
    return tokenizer


def read_config(source: str | Path) -> PretrainedConfig:
    """The configuration of a network.

    Args:
        source: A folder or a Hub id.

    Raises:
        UserError: A file of the folder is too large, or it asks for code of others.
    """
    _check_texts(Path(source))
    config: PretrainedConfig = AutoConfig.from_pretrained(str(source), **NO_CODE)
    attention = getattr(config, "_attn_implementation", None)
    if isinstance(attention, str) and "/" in attention:
        raise UserError(f"its config.json asks for the attention {attention} from the Hub, which is code; leave it out")
    return config


def read_network(source: str | Path, config: PretrainedConfig | None = None, **options: Any) -> Any:
    """A network for sequence classification, in single precision; `safetensors` before pickles, and these as numbers.

    Args:
        source: A folder or a Hub id.
        config: Its configuration; by default its own.
        options: What else transformers takes.

    Raises:
        UserError: It does not go into the memory.
    """
    config = config or read_config(source)
    _check_size(config)
    # dtype: transformers 5 keeps that of the file, and half precision does not train.
    return AutoModelForSequenceClassification.from_pretrained(
        str(source), config=config, dtype=torch.float32, **NO_CODE, **options
    )


def make_network(config: PretrainedConfig) -> PreTrainedModel:
    """An untrained network for sequence classification, in single precision.

    Args:
        config: Its configuration.

    Raises:
        UserError: It does not go into the memory.
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
    """Counts the parameters without making them."""
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
    """Turns whatever the libraries raise about files that they cannot read into one line.

    Args:
        what: What is read, such as ``the backbone folder x``.

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
        # What panics in the libraries that are written in Rust is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise UserError(f"{what} cannot be loaded: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """Why something cannot be loaded, in one line.

    Args:
        error: What a library raised.
    """
    text, cause = str(error), error
    while cause is not None:
        if isinstance(cause, pickle.UnpicklingError) or "weights_only" in str(cause):
            return "its pickled weights hold more than numbers, which may be code; it has to bring model.safetensors"
        cause = cause.__cause__ or cause.__context__  # type: ignore[assignment]
    if "custom code" in text or "trust_remote_code" in text:
        return "it needs code of its own, which is never run; take a model that transformers knows"
    lines = text.strip().split("\n")
    said = lines[:2] if lines[0].rstrip().endswith(":") else lines[:1]  # PyTorch names the weights below
    line = " ".join(" ".join(said).split())[:200]
    return f"{type(error).__name__} {line}".strip() if isinstance(error, LookupError) or not line else line
