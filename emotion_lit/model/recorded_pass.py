"""A recorded training pass: the forward and the backward pass of one shape of batches."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call

from emotion_lit.data.batching import Batch
from emotion_lit.model.batches import classify
from emotion_lit.model.cuda_graphs import Recorder, Work
from emotion_lit.model.mixed_precision import StepWeights
from emotion_lit.model.network import Network

WARM_UPS = 2


class RecordedPass:
    """The forward and the backward pass of one shape of batches, as one node of autograd.

    Args:
        network: The network.
        weights: The copies of its weights that the pass computes with.
        gradients: The memory for the gradients of the weights by name, which all passes share.
        inputs: A batch of this shape.

    Attributes:
        parameters: The parameters that get a gradient.
        gradients: Their gradients, valid until the next pass.
    """

    def __init__(
        self, network: Network, weights: StepWeights, gradients: dict[str, Tensor], inputs: dict[str, Tensor]
    ) -> None:
        self._classifier = _Classifier(network)
        self._weights = weights
        self._inputs = {name: values.clone() for name, values in inputs.items()}
        self._all_gradients = gradients
        self._logits = torch.empty(0)
        self._gradient_of_logits = torch.empty(0)
        self._forward: Work = self._run_forward
        self._backward: Work = self._run_backward
        self._used: list[str] = []
        self.parameters: list[nn.Parameter] = []
        self.gradients: list[Tensor] = []

    def record(self, recorder: Recorder) -> None:
        """Records both passes, after a few passes that load kernels and find the weights that get gradients."""
        self._used = list(self._weights.leaves)
        for _ in range(WARM_UPS):
            recorder.warm_up(self._warm_up)
        self.parameters = [self._weights.parameters[name] for name in self._used]
        self.gradients = [self._all_gradients[name] for name in self._used]
        self._forward = recorder.record(self._run_forward)
        self._backward = recorder.record(self._run_backward)

    def logits(self, inputs: dict[str, Tensor]) -> Tensor:
        """Replays the pass: logits of a batch, ``[batch, classes]``, with gradients.

        Args:
            inputs: The batch.
        """
        for name, values in inputs.items():
            self._inputs[name].copy_(values, non_blocking=True)
        return _Replay.apply(self, *self.parameters)  # type: ignore[no-any-return, no-untyped-call]

    def forward(self) -> Tensor:
        """Logits of the inputs, ``[batch, classes]``."""
        self._forward()
        return self._logits.detach().clone()

    def backward(self, gradient: Tensor) -> list[Tensor]:
        """The gradients of `parameters`, valid until the next call."""
        keep_gradients(self._weights.parameters, self._all_gradients)
        self._gradient_of_logits.copy_(gradient)
        self._backward()
        return [mine.detach() for mine in self.gradients]

    def _warm_up(self) -> None:
        self._run_forward()
        self._gradient_of_logits = torch.zeros_like(self._logits)
        found = self._gradients_of_leaves()
        self._used = [name for name, gradient in zip(self._used, found, strict=True) if gradient is not None]

    def _run_forward(self) -> None:
        self._weights.refresh()
        with torch.enable_grad():
            self._logits = functional_call(
                self._classifier,
                {f"network.{name}": leaf for name, leaf in self._weights.leaves.items()},
                (self._inputs,),
            )

    def _run_backward(self) -> None:
        found = [gradient for gradient in self._gradients_of_leaves() if gradient is not None]
        with torch.no_grad():
            torch._foreach_copy_(self.gradients, found)

    def _gradients_of_leaves(self) -> tuple[Tensor | None, ...]:
        with torch.autocast(self._logits.device.type, enabled=False):  # as Lightning's backward pass
            return torch.autograd.grad(
                self._logits,
                [self._weights.leaves[name] for name in self._used],
                self._gradient_of_logits,
                allow_unused=True,
            )


class _Classifier(nn.Module):
    """Makes `batches.classify` a module, whose weights can be replaced for a call."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Batch) -> Tensor:
        """Logits of a batch."""
        return classify(self.network, batch)


class _Replay(torch.autograd.Function):
    """A recorded pass as one node of autograd, whose inputs are the parameters."""

    @staticmethod
    def forward(ctx: Any, recorded: RecordedPass, *_: Tensor) -> Tensor:
        ctx.recorded = recorded
        return recorded.forward()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return (None, *ctx.recorded.backward(gradient))


def keep_gradients(parameters: dict[str, nn.Parameter], written: dict[str, Tensor]) -> None:
    """Moves accumulated gradients out of the memory that recorded passes write to.

    Autograd keeps the first gradient of a step where it is, and adds the others to it.

    Args:
        parameters: The parameters by name.
        written: The memory for the gradient of each.
    """
    for name, parameter in parameters.items():
        if parameter.grad is not None and parameter.grad.data_ptr() == written[name].data_ptr():
            parameter.grad = parameter.grad.clone()
