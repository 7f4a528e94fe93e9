"""Outputs of a frozen encoder, computed once per text and kept on disk."""

import hashlib
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from emotion_lit.model.pooling import DEPTHS, Network

# Raise when the same inputs would give other numbers.
FORMAT = 1

Features = npt.NDArray[np.float32]


def features_key(network_sha256: str, tokens_key: str, precision: str) -> str:
    """A name for features, made of all that determines them.

    Args:
        network_sha256: The identity of the encoder.
        tokens_key: The identity of the tokens.
        precision: The arithmetic that they are computed in.
    """
    what = {
        "format": FORMAT,
        "network": network_sha256,
        "tokens": tokens_key,
        "depths": DEPTHS,
        "precision": precision,
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]


def read_features(file: Path) -> Features | None:
    """Features that were kept, memory-mapped.

    Args:
        file: Where they would be.

    Returns:
        ``[rows, features]``, or None if they are not there.
    """
    if not file.is_file():
        return None
    features: Features = np.load(file, mmap_mode="r")
    return features


@torch.inference_mode()
def compute_features(network: Network, batches: Iterable[dict[str, Any]], rows: int, file: Path) -> Features:
    """Runs the encoder over all rows and keeps what the head needs of them.

    Args:
        network: The network, whose encoder is frozen.
        batches: Batches on the network's device, which cover all rows.
        rows: How many rows there are.
        file: Where to keep the features; written beside it first, so that a killed run leaves no half of them.

    Returns:
        ``[rows, features]``, memory-mapped.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkstemp(dir=file.parent, prefix=".part-")[1])
    shape = (rows, network.feature_size)
    kept = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=shape)
    for batch in batches:
        features = network.features(batch["input_ids"], batch.get("attention_mask"))
        kept[batch["row"].cpu().numpy()] = features.float().cpu().numpy()
    kept.flush()
    del kept
    part.replace(file)
    found = read_features(file)
    assert found is not None
    return found
