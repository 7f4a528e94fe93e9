"""Networks for inference in half precision, whose weights are cast once; autocast casts them in every batch.

On a CPU the weights are also brought into the layout in which oneDNN, PyTorch's library for matrix products, reads
them. Otherwise it reorders them for every product. A GELU after a layer is computed with the product.
"""

import copy
import itertools
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase
from transformers.activations import GELUActivation

from emotion_lit.model.fast_paths import difference, print_left_out
from emotion_lit.model.network import Network
from emotion_lit.model.probe import Probe, error_summary

# The layout is chosen for this number of tokens per batch; others can be computed too.
TOKENS = 2048


class PackedLinear(nn.Module):
    """A linear layer on a CPU with weights in the layout of oneDNN, as `torch.compile` makes for frozen weights.

    Args:
        layer: The layer.
        dtype: The precision of the product.
        gelu: Whether to apply GELU to the output.
    """

    def __init__(self, layer: nn.Linear, dtype: torch.dtype, gelu: bool = False) -> None:
        super().__init__()
        weight = layer.weight.detach().to(dtype)
        self.weight: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, TOKENS)
        self.bias = None if layer.bias is None else layer.bias.detach().to(dtype)
        self._dtype = dtype
        self._after: tuple[Any, ...] = ("gelu", [], "none") if gelu else ("none", [], "")

    def forward(self, input: Tensor) -> Tensor:
        """Computes the output.

        Args:
            input: ``[..., inputs]``.

        Returns:
            ``[..., outputs]``, in half precision.
        """
        rows = input.reshape(-1, input.shape[-1])
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            _cast_and_pad(rows, self._dtype), self.weight, self.bias, *self._after
        )
        return product[: len(rows)].view(*input.shape[:-1], -1)


def recurring_size(rows: int) -> int:
    """Rounds a number of rows up to one of the eight sizes between two powers of two, or to a multiple of 16.

    oneDNN compiles its kernels for every number of rows, which takes as long as ten products or more.

    Args:
        rows: The number of rows.
    """
    step = max(16, 1 << max(0, (rows - 1).bit_length() - 4))
    return -(-rows // step) * step


def _cast_and_pad(rows: Tensor, dtype: torch.dtype) -> Tensor:
    """Casts ``[rows, features]``, and adds rows of any values until their number is one that recurs."""
    size, features = recurring_size(len(rows)), rows.shape[1]
    if len(rows) == size:
        return rows.to(dtype)
    if rows.dtype == dtype and rows.is_contiguous():
        end = (rows.storage_offset() + size * features) * rows.itemsize
        if end <= rows.untyped_storage().nbytes():  # the output of another of these layers, with its padding
            return rows.as_strided((size, features), (features, 1))
    padded = torch.empty(size, features, dtype=dtype)
    padded[: len(rows)] = rows
    padded[len(rows) :] = 0  # not what was in memory, which may be slow to multiply
    return padded


def with_half_weights(network: Network, dtype: torch.dtype, tokenizer: PreTrainedTokenizerBase) -> Network:
    """Copies a network for inference under autocast; only the weights of linear layers are new, the others are shared.

    Args:
        network: A network in single precision, on its device.
        dtype: ``torch.bfloat16`` or ``torch.float16``, as in autocast.
        tokenizer: The tokenizer, for a check of the logits.

    Returns:
        The copy, in evaluation mode; the network itself if the logits would differ beyond rounding, with a notice.
    """
    probe, device = Probe(tokenizer), next(network.parameters()).device.type
    try:
        shared = {id(weight): weight for weight in itertools.chain(network.parameters(), network.buffers())}
        copied = copy.deepcopy(network, shared).eval()
        _replace_layers(copied, dtype)
        with torch.autocast(device, dtype):
            problem = difference(probe.logits(network), probe.logits(copied), dtype)
    except Exception as error:  # other versions of the libraries may raise anything
        problem = error_summary(error)
    if problem:
        print_left_out("weights in half precision", network, problem)
    return network if problem else copied


def _replace_layers(module: nn.Module, dtype: torch.dtype) -> None:
    for name, layer in module.named_children():
        if type(layer) is nn.Linear:
            gelu = name == "dense" and _is_on_cpu(layer) and _remove_gelu(module)
            setattr(module, name, _half(layer, dtype, gelu))
        elif not hasattr(layer, "lora_A"):  # layers of peft use the weights of the layers inside
            _replace_layers(layer, dtype)


def _half(layer: nn.Linear, dtype: torch.dtype, gelu: bool) -> nn.Module:
    if _is_on_cpu(layer):
        return PackedLinear(layer, dtype, gelu)
    half = nn.Linear(layer.in_features, layer.out_features, layer.bias is not None, device="meta")
    half.weight = nn.Parameter(layer.weight.detach().to(dtype), requires_grad=False)
    if layer.bias is not None:
        half.bias = nn.Parameter(layer.bias.detach().to(dtype), requires_grad=False)
    return half


def _is_on_cpu(layer: nn.Linear) -> bool:
    return layer.weight.device.type == "cpu"


def _remove_gelu(block: Any) -> bool:
    """Removes GELU from the feed-forward block of BERT and its relatives; its layer `dense` then has to compute it."""
    activation = getattr(block, "intermediate_act_fn", None)
    if type(activation) is not GELUActivation or activation.act is not nn.functional.gelu:
        return False
    block.intermediate_act_fn = nn.Identity()
    return True
