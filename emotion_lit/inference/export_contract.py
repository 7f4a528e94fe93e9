"""What every export states of itself, so that it means the same to whoever loads it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase

from emotion_lit.data.tokenization import tokenizer_sha256
from emotion_lit.errors import UserError
from emotion_lit.model import pretrained
from emotion_lit.model.checkpoint.schema import LARGEST
from emotion_lit.model.checkpoint.type_checks import is_of
from emotion_lit.utils.files import reason_of, write_text

LABELS_FILE = "labels.json"
CONFIG_FILE, CONFIG_KEY = "config.json", "emotion_lit"
ONNX_FILE, INT8_FILE = "model.onnx", "model_int8.onnx"
ADAPTER_CONFIG, TOKENIZER_CONFIG = "adapter_config.json", "tokenizer_config.json"
# The files that hold weights; an export has those of its own format, and no others.
WEIGHT_FILES = ("model.safetensors", "adapter_model.safetensors", ONNX_FILE, INT8_FILE)
# Everything that an export may hold.
FILES = (
    *("README.md", LABELS_FILE, CONFIG_FILE, *WEIGHT_FILES),
    *(ADAPTER_CONFIG, "tokenizer.json", TOKENIZER_CONFIG),
    *("special_tokens_map.json", "added_tokens.json", "vocab.txt", "vocab.json", "merges.txt"),
    *("spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "chat_template.jinja"),
)
PROBLEM_TYPES = {False: "single_label_classification", True: "multi_label_classification"}

Format = Literal["hf", "adapter", "onnx"]
Side = Literal["left", "right"]


@dataclass(frozen=True)
class Contract:
    """What an export states. Exports of earlier releases lack everything from ``temperature`` on.

    Args:
        labels: The classes in the order of their ids.
        multi_label: Whether a text may have several of them.
        thresholds: From which probability on each is predicted, if it may.
        max_length: Where texts are cut, in tokens.
        base_model: The base model as it was given: a Hub id, or a folder, which begins with ``./`` or ``../``.
        temperature: What a reader has to divide the logits by; 1, because it is already in the weights.
        temperature_in_weights: By what they have been divided.
        padding_side: Where texts are padded.
        truncation_side: Where they are cut.
        pooling: How the head reads the tokens.
        network_sha256: The hash of the base model's weights.
        tokenizer_sha256: The hash of the tokenizer.
        weights: The hashes of the files of weights.
    """

    labels: list[str]
    multi_label: bool
    thresholds: list[float] | None
    max_length: int
    base_model: str
    temperature: float = 1.0
    temperature_in_weights: float | None = None
    padding_side: Side | None = None
    truncation_side: Side | None = None
    pooling: Literal["cls", "mean"] | None = None
    network_sha256: str | None = None
    tokenizer_sha256: str | None = None
    weights: dict[str, str] | None = None

    @property
    def base_is_folder(self) -> bool:
        """Whether the base model was a folder, which nobody else finds by its name."""
        return self.base_model.startswith(("./", "../"))

    def write(self, folder: Path) -> None:
        """Writes it beside the weights.

        Args:
            folder: The export.
        """
        write_text(folder / LABELS_FILE, json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n")


NEEDED = {one.name for one in fields(Contract) if one.default is MISSING}


def read_contract(folder: Path) -> Contract | None:
    """What an export states of itself.

    Args:
        folder: A folder.

    Returns:
        The contract; None where the folder is no export.

    Raises:
        UserError: It is damaged.
    """
    for name, key in ((LABELS_FILE, None), (CONFIG_FILE, CONFIG_KEY)):
        file = folder / name
        if not file.is_file():
            continue
        content = _read_json(file)
        if key and not (isinstance(content, dict) and key in content):
            return None
        return parse_contract(content[key] if key else content, str(file))
    return None


def parse_contract(content: Any, where: str) -> Contract:
    """A contract from what a file holds.

    Args:
        content: Plain values.
        where: The file, for messages.

    Raises:
        UserError: They are no contract.
    """
    odd = not is_of(content, Contract) or not content.keys() >= NEEDED
    if not odd:
        stated = Contract(**content)
        labels = stated.labels
        odd = len(set(labels)) < len(labels) or not all(labels) or not 1 <= stated.max_length <= LARGEST["max_length"]
        odd = odd or stated.temperature != 1
    if odd:
        names = ", ".join(one.name for one in fields(Contract))
        raise UserError(f"{where} does not describe an export, which has {names}; export it again")
    return stated


def check_configuration(folder: Path, stated: Contract) -> None:
    """Checks that ``config.json`` names the classes as the contract does.

    Args:
        folder: The export.
        stated: Its contract.

    Raises:
        UserError: It says something else.
    """
    file = folder / CONFIG_FILE
    content = _read_json(file) if file.is_file() else {}
    if not isinstance(content, dict) or "id2label" not in content:  # of an earlier release
        return
    if CONFIG_KEY in content and parse_contract(content[CONFIG_KEY], str(file)) != replace(stated, weights=None):
        raise UserError(f"its {CONFIG_FILE} and its {LABELS_FILE} differ about {CONFIG_KEY}; export it again")
    ids = {str(place): label for place, label in enumerate(stated.labels)}
    expected = {
        "id2label": ids,
        "label2id": {label: int(place) for place, label in ids.items()},
        "problem_type": PROBLEM_TYPES[stated.multi_label],
    }
    for key, value in expected.items():
        if content.get(key) != value:
            raise UserError(f"its {CONFIG_FILE} and its {LABELS_FILE} differ about {key}; export it again")


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, stated: Contract) -> None:
    """Checks that a tokenizer cuts and pads as the contract says.

    Args:
        tokenizer: The tokenizer of the export.
        stated: The contract.

    Raises:
        UserError: It does not.
    """
    if stated.tokenizer_sha256 is None:  # of an earlier release
        return
    names = {"max_length": "model_max_length", "padding_side": "padding_side", "truncation_side": "truncation_side"}
    for key, name in names.items():
        if (value := getattr(tokenizer, name)) != getattr(stated, key):
            raise UserError(
                f"its tokenizer_config.json says that {name} is {value}, and its {LABELS_FILE} that {key} is "
                f"{getattr(stated, key)}; export it again"
            )
    if (sha256 := tokenizer_sha256(tokenizer)) != stated.tokenizer_sha256:
        raise UserError(
            f"its tokenizer is another one ({sha256[:12]}) than was exported ({stated.tokenizer_sha256[:12]}); export "
            "it again"
        )


def check_format(folder: Path, stated: Contract) -> None:
    """Checks that an export holds the weights of one format: programs choose among several by rules of their own.

    Args:
        folder: The export.
        stated: Its contract.

    Raises:
        UserError: There are others.
    """
    found = [name for name in WEIGHT_FILES if (folder / name).is_file()]
    formats = {"onnx" if name.endswith(".onnx") else name for name in found}
    if stated.weights is not None:
        odd = sorted(set(found) - set(stated.weights))
    else:
        odd = found[1:] if len(formats) > 1 else []
    if odd:
        raise UserError(f"it holds {odd[0]} of another export; remove it, or export again")


def check_weights(folder: Path, stated: Contract) -> str:
    """Checks that the weights are those that were exported.

    Args:
        folder: The export.
        stated: Its contract.

    Returns:
        A hash of all of them.

    Raises:
        UserError: They are others.
    """
    found = weight_hashes(folder)
    for name, sha256 in found.items():
        if stated.weights is not None and stated.weights.get(name) != sha256:
            raise UserError(f"its {name} is not the one that was exported with its {LABELS_FILE}; export it again")
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def weight_hashes(folder: Path) -> dict[str, str]:
    """The hashes of the files of weights in a folder.

    Args:
        folder: An export.
    """
    return {name: file_sha256(folder / name) for name in WEIGHT_FILES if (folder / name).is_file()}


def file_sha256(file: Path) -> str:
    """The hash of a file.

    Args:
        file: The file.
    """
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def stated_in_config(stated: Contract) -> Mapping[str, Any]:
    """What of a contract stands in ``config.json`` too, for those who have loaded the network alone.

    Args:
        stated: The contract.
    """
    return {key: value for key, value in asdict(stated).items() if key != "weights"}


def _read_json(file: Path) -> Any:
    try:
        if file.stat().st_size > pretrained.MOST_TEXT:
            raise ValueError(f"it has {file.stat().st_size:,} bytes")
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} is damaged ({reason_of(error)}); export it again") from error
