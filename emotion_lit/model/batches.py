"""Batches: checks the inputs and labels of batches from any data loader, and runs a network on them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from emotion_lit.data.batching import Batch
from emotion_lit.errors import UserError
from emotion_lit.model.network import Network

INPUTS = ("input_ids", "features")
# Keys of labels in a batch: of this package, of transformers, and class ids only.
LABELS = ("targets", "labels", "label")


def check_inputs(batch: Any) -> None:
    """Checks that a batch has tokenized texts.

    Args:
        batch: A batch of any data loader.

    Raises:
        UserError: It is something else.
    """
    if isinstance(batch, Mapping) and any(key in batch for key in INPUTS):
        return
    found = f"the keys {', '.join(map(str, batch))}" if isinstance(batch, Mapping) else f"a {type(batch).__name__}"
    raise UserError(
        "a batch should be a dict of tensors with input_ids [rows, tokens] and, if there is padding, "
        f"attention_mask; this one is {found}. Tokenize with model.tokenizer, or use EmotionDataModule"
    )


def classify(network: Network, batch: Batch) -> Tensor:
    """Logits of a batch, ``[batch, classes]``.

    Args:
        network: The network.
        batch: ``input_ids`` and, if there is padding, ``attention_mask``, both ``[batch, tokens]``; also ``states``,
            ``[batch, tokens, hidden]``, if the frozen layers have been run. Or ``features``, ``[batch, features]``.
    """
    if "features" in batch:
        return network.classify(batch["features"])
    if "states" in batch:
        return network.classify_states(batch["states"], batch["input_ids"], batch.get("attention_mask"))
    logits: Tensor = network(batch["input_ids"], batch.get("attention_mask"))
    return logits


def embed(network: Network, batch: Batch) -> Tensor:
    """Text embeddings, ``[batch, width]``: the input of the last linear layer of the head.

    Args:
        network: The network.
        batch: As in `classify`.
    """
    read: list[Tensor] = []
    handle = network.classifier.register_forward_pre_hook(lambda _, args: read.append(args[0]))
    try:
        classify(network, batch)
    finally:
        handle.remove()
    return read[0]


def with_targets(batch: Batch, classes: int, several: bool) -> Batch:
    """Converts the labels of a batch: ``targets``, ``[rows, classes]``, and ``label``, ``[rows]``.

    Args:
        batch: A batch with one of the keys `LABELS`: class ids, ``[rows]``, or a value for each class,
            ``[rows, classes]``.
        classes: The number of classes.
        several: Whether a row may have any number of classes (multi-label).

    Raises:
        UserError: The batch has no labels, or they do not fit the classes of the model.
    """
    given = next((batch[key] for key in LABELS if key in batch), None)
    if not isinstance(given, Tensor) or given.ndim not in (1, 2):
        raise UserError(
            f"a batch for training or scoring needs {' or '.join(LABELS)}: a tensor of class ids [rows], or of a value "
            f"for each class [rows, classes]; this one has {', '.join(map(str, batch))}"
        )
    if given.ndim == 2 and given.shape[1] != classes:
        raise UserError(f"the labels of a batch are for {given.shape[1]} classes, but the model has {classes}")
    if "targets" in batch and "label" in batch:
        return batch
    if given.ndim == 1:
        if len(given) and not 0 <= int(given.min()) <= int(given.max()) < classes:
            raise UserError(f"a batch has the label ids {given.tolist()}; those of the model are 0 to {classes - 1}")
        return {**batch, "targets": functional.one_hot(given.long(), classes).float(), "label": given.long()}
    there = (given > 0).any(dim=1)
    if not several and not bool(there.all()):
        raise UserError(f"row {int(there.logical_not().nonzero()[0])} of a batch has no label; leave such rows out")
    first = torch.where(there, given.argmax(dim=1), -1)
    return {**batch, "targets": given.float(), "label": first}


def rows_of(batch: Any) -> list[int] | None:
    """The row numbers of a batch in its split or input; None if the batch does not contain them.

    Args:
        batch: The batch.
    """
    rows = batch.get("row") if isinstance(batch, Mapping) else None
    return rows.tolist() if isinstance(rows, Tensor | np.ndarray) else rows


def size_of(batch: Any) -> int:
    """The number of texts in a batch.

    Args:
        batch: A batch of any data loader.
    """
    rows = batch.get("row") if isinstance(batch, Mapping) else None  # its length does not wait for a GPU
    return len(batch["input_ids"]) if rows is None else len(rows)


def put_in_order(outputs: list[Any], rows: Sequence[list[int] | None]) -> None:
    """Sorts predictions by row number, in place; batches are in the order of text length.

    Args:
        outputs: For each batch ``[rows, ...]``; other outputs are not sorted.
        rows: The row numbers of each batch; None if they are unknown.
    """
    numbers = [number for batch in rows for number in batch or ()]
    sizes = [len(one) if isinstance(one, Tensor) and one.ndim else -1 for one in outputs]
    if None in rows or sizes != [len(batch or ()) for batch in rows] or not numbers:
        return
    ordered = torch.cat(outputs)[torch.tensor(numbers).argsort(stable=True)]
    outputs[:] = torch.split(ordered, sizes)
