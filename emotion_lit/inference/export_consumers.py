"""The programs that an export is for: transformers' pipeline, peft, and ONNX Runtime."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from emotion_lit.inference.export_contract import Contract
from emotion_lit.inference.export_files import ONNX_FILE, Format
from emotion_lit.model import pretrained
from emotion_lit.model.backbone import locate

# The size of a batch, in texts.
TOGETHER = 32

# Takes texts and the size of a batch, and gives probabilities, ``[texts, classes]``.
Consumer = Callable[[Sequence[str], int], Tensor]


def consumers(folder: Path, format: Format, stated: Contract, backbone: str) -> Iterator[tuple[str, Consumer]]:
    """The programs that can use an export, by their names.

    Args:
        folder: The export.
        format: Its format.
        stated: Its contract.
        backbone: Where the base model of an adapter is.
    """
    if format == "onnx":
        yield "ONNX Runtime", onnx_runtime(folder, ONNX_FILE, stated)
        return
    tokenizer = pretrained.read_tokenizer(folder)
    if format == "hf":
        network = pretrained.read_network(folder)
        yield "transformers' pipeline", _pipeline(network, tokenizer, stated)
        return
    tuned = adapted(folder, backbone)
    yield "peft", _network(tuned, tokenizer, stated)
    yield "transformers' pipeline on the merged adapter", _pipeline(tuned.merge_and_unload(), tokenizer, stated)


def adapted(folder: Path, backbone: str) -> Any:
    """Loads an adapter and its base model, as the model card of the export does.

    Args:
        folder: The export.
        backbone: Where the base model is.
    """
    from peft import PeftModel

    config = pretrained.read_config(folder)
    base = pretrained.read_network(locate(backbone), config, ignore_mismatched_sizes=True)
    return PeftModel.from_pretrained(base, str(folder)).eval()


def _pipeline(network: Any, tokenizer: Any, stated: Contract) -> Consumer:
    from transformers import pipeline

    make: Any = pipeline
    classify = make("text-classification", model=network, tokenizer=tokenizer, device="cpu", truncation=True)

    def probabilities(texts: Sequence[str], size: int) -> Tensor:
        found = classify(list(texts), top_k=None, batch_size=size)
        rows = [{one["label"]: one["score"] for one in scores} for scores in found]
        return torch.tensor([[row.get(label, torch.nan) for label in stated.labels] for row in rows])

    return probabilities


def _network(network: Any, tokenizer: Any, stated: Contract) -> Consumer:
    def logits(texts: list[str]) -> Tensor:
        inputs = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        return network(**inputs).logits  # type: ignore[no-any-return]

    return _by_batches(logits, stated)


def onnx_runtime(folder: Path, file: str, stated: Contract) -> Consumer:
    """ONNX Runtime, with the tokenizer as `tokenizers` reads it.

    Args:
        folder: The export.
        file: The name of the ONNX file.
        stated: Its contract.
    """
    import onnxruntime
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    session = onnxruntime.InferenceSession(str(folder / file), providers=["CPUExecutionProvider"])

    def logits(texts: list[str]) -> Tensor:
        encoded = tokenizer.encode_batch(texts)
        ids, mask = (np.array([getattr(one, key) for one in encoded], np.int64) for key in ("ids", "attention_mask"))
        return torch.from_numpy(session.run(None, {"input_ids": ids, "attention_mask": mask})[0])

    return _by_batches(logits, stated)


def _by_batches(logits: Callable[[list[str]], Tensor], stated: Contract) -> Consumer:
    @torch.inference_mode()
    def probabilities(texts: Sequence[str], size: int) -> Tensor:
        parts = [logits(list(texts[start : start + size])) for start in range(0, len(texts), size)]
        found = torch.cat(parts).float()
        return found.sigmoid() if stated.multi_label else found.softmax(dim=1)

    return probabilities
