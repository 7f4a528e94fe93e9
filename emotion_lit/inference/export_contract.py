"""The contract of an export: labels, thresholds, tokenization and hashes, so that every program reads it alike."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase

from emotion_lit.data.tokenization import tokenizer_sha256
from emotion_lit.errors import UserError
from emotion_lit.inference.export_files import CONFIG_FILE, LABELS_FILE, WEIGHT_FILES, weight_hashes
from emotion_lit.model import pretrained
from emotion_lit.model.checkpoint.schema import LARGEST
from emotion_lit.model.checkpoint.type_checks import is_of
from emotion_lit.model.network import Pooling
from emotion_lit.utils.files import reason_of, write_text

# The key of the contract in config.json.
CONFIG_KEY = "emotion_lit"
PROBLEM_TYPES = {False: "single_label_classification", True: "multi_label_classification"}

Side = Literal["left", "right"]


@dataclass(frozen=True)
class Contract:
    """The content of ``labels.json``. Exports of earlier releases lack everything from ``temperature`` on.

    Args:
        labels: The classes in the order of their ids.
        multi_label: Whether a text may have several classes.
        thresholds: The decision threshold of each class; multi-label only.
        max_length: The maximum length of a text, in tokens.
        base_model: The base model as it was given: a Hub id, or a folder, which begins with ``./`` or ``../``.
        temperature: By which a reader divides the logits: 1, because the weights contain it.
        temperature_in_weights: The calibration temperature that the weights contain.
        padding_side: The side on which texts are padded.
        truncation_side: The side on which texts are truncated.
        pooling: The input of the classification head.
        network_sha256: The hash of the base model's weights.
        tokenizer_sha256: The hash of the tokenizer.
        weights: The hashes of the weight files.
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
    pooling: Pooling | None = None
    network_sha256: str | None = None
    tokenizer_sha256: str | None = None
    weights: dict[str, str] | None = None

    @property
    def base_is_folder(self) -> bool:
        """Whether the base model was a folder, which cannot be found by its name on other machines."""
        return self.base_model.startswith(("./", "../"))

    def write(self, folder: Path) -> None:
        """Writes ``labels.json``.

        Args:
            folder: The export.
        """
        write_text(folder / LABELS_FILE, json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n")


NEEDED = {one.name for one in fields(Contract) if one.default is MISSING}


def read_contract(folder: Path) -> Contract | None:
    """Reads the contract of an export.

    Args:
        folder: A folder.

    Returns:
        The contract; None if the folder is not an export.

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
    """Makes a contract from the content of a file.

    Args:
        content: Plain values.
        where: The file, for messages.

    Raises:
        UserError: They are not a contract.
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
        UserError: It has other values.
    """
    file = folder / CONFIG_FILE
    content = _read_json(file) if file.is_file() else {}
    if not isinstance(content, dict) or "id2label" not in content:  # of an earlier release
        return
    if CONFIG_KEY in content and parse_contract(content[CONFIG_KEY], str(file)) != replace(stated, weights=None):
        raise UserError(f"its {CONFIG_FILE} and its {LABELS_FILE} disagree about {CONFIG_KEY}; export it again")
    ids = {str(place): label for place, label in enumerate(stated.labels)}
    expected = {
        "id2label": ids,
        "label2id": {label: int(place) for place, label in ids.items()},
        "problem_type": PROBLEM_TYPES[stated.multi_label],
    }
    for key, value in expected.items():
        if content.get(key) != value:
            raise UserError(f"its {CONFIG_FILE} and its {LABELS_FILE} disagree about {key}; export it again")


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, stated: Contract) -> None:
    """Checks that a tokenizer truncates and pads as the contract says.

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
    """Checks that an export has the weights of one format; programs differ in which of several they load.

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
        raise UserError(f"it contains {odd[0]} of another export; remove it, or export again")


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


def stated_in_config(stated: Contract) -> Mapping[str, Any]:
    """The part of a contract that is also in ``config.json``, for programs that load the network alone.

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
