"""The weights in a checkpoint, and the frozen ones that it leaves out."""

from collections.abc import Mapping

from torch import Tensor, nn

from emotion_lit.errors import UserError


def trained_names(module: nn.Module) -> set[str]:
    """The names of the parameters that train.

    Args:
        module: A model.
    """
    return {name for name, parameter in module.named_parameters() if parameter.requires_grad}


def complete_weights(module: nn.Module, weights: Mapping[str, Tensor], has_all: bool) -> dict[str, Tensor]:
    """Adds to the weights of a checkpoint the frozen ones that it leaves out.

    Args:
        module: The model that the checkpoint is for.
        weights: The weights in the checkpoint.
        has_all: Whether the checkpoint stores the frozen weights too, because it needs no base model.

    Raises:
        UserError: Weights are missing, unknown, or of another shape.
    """
    own = module.state_dict()
    expected = {name for name, _ in module.named_parameters()} if has_all else trained_names(module)
    if odd := sorted(expected - set(weights)) or sorted(set(weights) - set(own)):
        raise UserError(f"the checkpoint does not fit the model: {len(odd)} weights differ, such as {odd[0]}")
    for name, tensor in weights.items():
        if tensor.shape != own[name].shape:
            sizes = [" x ".join(map(str, one.shape)) for one in (tensor, own[name])]
            raise UserError(f"the checkpoint does not fit the model: {name} is {sizes[0]}, not {sizes[1]}")
    return {**own, **weights}
