"""Hashes of what a checkpoint stores."""

import hashlib
import json
from collections.abc import Mapping

from torch import Tensor

from emotion_lit.model.backbone import tensor_bytes


def weights_sha256(weights: Mapping[str, Tensor]) -> str:
    """A hash of named tensors.

    Args:
        weights: The tensors.
    """
    content = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        content.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        content.update(tensor_bytes(tensor))
    return content.hexdigest()


def files_sha256(files: Mapping[str, str]) -> str:
    """A hash of the bundled files.

    Args:
        files: Their texts by file name.
    """
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
