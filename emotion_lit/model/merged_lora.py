"""LoRA layers that compute with the merged weight, forward and backward."""

import contextlib
from collections.abc import Iterator
from typing import Any, Self

import torch
from peft.tuners.lora import Linear
from torch import Tensor
from torch.autograd.function import FunctionCtx


class MergedLoraLinear(Linear):  # type: ignore[misc]
    """peft's LoRA layer, computed with one matrix product instead of three.

    peft adds the output of the adapter to that of the frozen layer. The adapter's products have a small inner
    dimension, so they are limited by memory bandwidth, and with adapters in every layer a step takes longer than one of
    full fine-tuning. Here ``W + s B A`` is computed once per step, and used for the output and for the gradient of the
    input; only the gradients of A and B need low-rank products. Parameters, their names and the state dict are peft's.
    """

    _merged: Tensor | None = None
    _merged_for: tuple[Any, ...] = ()

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Computes the output.

        Args:
            x: ``[..., inputs]``.
            args: Passed to peft's layer, which is used unless there is exactly one plain adapter.
            kwargs: Likewise.

        Returns:
            ``[..., outputs]``.
        """
        if not self._is_plain():
            output: Tensor = super().forward(x, *args, **kwargs)
            return output
        name = self.active_adapters[0]
        device = x.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
        a, b, scaling = self.lora_A[name].weight, self.lora_B[name].weight, self.scaling[name]
        merged = self._merged_weight(a, b, scaling, dtype)
        bias = None if self.base_layer.bias is None else self.base_layer.bias.to(dtype)
        return _MergedLora.apply(x.to(dtype), merged, bias, a, b, scaling)  # type: ignore[no-any-return, no-untyped-call]

    def train(self, mode: bool = True) -> Self:
        """Discards the merged weight, because training changes it.

        Args:
            mode: False for evaluation mode.
        """
        self._merged = None
        return super().train(mode)  # type: ignore[no-any-return]

    def _is_plain(self) -> bool:
        adapters = self.active_adapters
        if self.disable_adapters or self.merged or len(adapters) != 1 or self.lora_variant:
            return False
        return not self.training or isinstance(self.lora_dropout[adapters[0]], torch.nn.Identity)

    def _merged_weight(self, a: Tensor, b: Tensor, scaling: float, dtype: torch.dtype) -> Tensor:
        """``W + s B A``: computed in every forward pass during training, and once in evaluation."""
        weight = self.base_layer.weight
        if self.training:
            return _merge(weight, a, b, scaling, dtype)
        # Versions cannot be used during training: fused optimizers do not increment them.
        state = (dtype, scaling, *((tensor.data_ptr(), tensor._version) for tensor in (weight, a, b)))
        if self._merged is None or self._merged_for != state:
            with torch.inference_mode(False):  # so that it can be used outside of inference mode later
                self._merged = _merge(weight, a, b, scaling, dtype)
            self._merged_for = state
        return self._merged


def use_merged_weights(encoder: torch.nn.Module) -> None:
    """Makes the LoRA layers of an encoder that wrap `nn.Linear` compute with merged weights.

    Args:
        encoder: The encoder.
    """
    for module in encoder.modules():
        if type(module) is Linear and type(module.base_layer) is torch.nn.Linear:
            module.__class__ = MergedLoraLinear


def use_separate_adapters(encoder: torch.nn.Module) -> None:
    """Undoes `use_merged_weights`.

    Args:
        encoder: The encoder.
    """
    for module in encoder.modules():
        if type(module) is MergedLoraLinear:
            module.__class__ = Linear


@contextlib.contextmanager
def temporary_adapter_weights(encoder: torch.nn.Module) -> Iterator[None]:
    """Gives adapters temporary random weights, as after training; new adapters are zero, so no error would show.

    Args:
        encoder: The encoder.
    """
    fresh = [parameter for name, parameter in encoder.named_parameters() if ".lora_B." in name]
    kept = [parameter.detach().clone() for parameter in fresh]
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for parameter in fresh:
                parameter.copy_(torch.randn(parameter.shape) * 0.02)
        yield
    finally:
        with torch.no_grad():
            for parameter, values in zip(fresh, kept, strict=True):
                parameter.copy_(values)


def _merge(weight: Tensor, a: Tensor, b: Tensor, scaling: float, dtype: torch.dtype) -> Tensor:
    with torch.no_grad(), torch.autocast(weight.device.type, enabled=False):
        # A frozen weight may be stored in half precision, see `mixed_precision`.
        return torch.addmm(weight, b.to(weight.dtype), a.to(weight.dtype), alpha=scaling).to(dtype)


class _MergedLora(torch.autograd.Function):
    """``x (W + s B A)^T + bias``, with gradients for x, A and B."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, merged: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scaling: float
    ) -> Tensor:
        ctx.save_for_backward(x, merged, a, b)
        ctx.scaling = scaling  # type: ignore[attr-defined]
        return torch.nn.functional.linear(x, merged, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, merged, a, b = ctx.saved_tensors
        rows, grads = x.reshape(-1, x.shape[-1]), gradient.reshape(-1, gradient.shape[-1])
        grad_x = (grads @ merged).view_as(x) if ctx.needs_input_grad[0] else None
        grad_a = (grads @ (ctx.scaling * b).to(grads.dtype)).t() @ rows
        # In this order, because on a CPU the product is twice as fast if the left factor has few rows.
        grad_b = ((rows @ a.to(rows.dtype).t()).t() @ grads).t() * ctx.scaling
        return grad_x, None, None, grad_a.to(a.dtype), grad_b.to(b.dtype), None
