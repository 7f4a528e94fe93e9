"""The network: an encoder with its own classification head, or with mean pooling and a two-layer head."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, Literal, Self, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from emotion_lit.errors import UserError
from emotion_lit.model.cuda_graphs import attention_kernels
from emotion_lit.model.input_limits import classify_by_end_tokens, complete_mask
from emotion_lit.model.partial_forward import lower_states, upper_layers
from emotion_lit.model.pooling import masked_mean
from emotion_lit.model.state_hooks import make_picklable

Pooling = Literal["cls", "mean"]
# The layers that the `mean` head pools, as fractions of the depth. Lower layers keep information that the last layer
# discards: a frozen MiniLM on 8,000 rows of super-emotion has macro-F1 .474 with all three, and .448 with the last one.
DEPTHS = (1, 2 / 3, 1 / 3)
# High, because a head on a frozen encoder overfits quickly: macro-F1 .448 with 0.5 and .442 with 0.1, last layer alone.
HEAD_DROPOUT = 0.5


class Network(nn.Module):
    """An encoder with a classification head.

    Args:
        pretrained: A transformers model for sequence classification.
        pooling: ``cls`` keeps its own head; ``mean`` replaces it by mean pooling and a two-layer head.
        dropout: Dropout of the ``mean`` head; None means 0.5.

    Attributes:
        frozen_layers: The number of frozen lower layers. If it is above 0, the embeddings are frozen too.
        frozen: The frozen modules. They stay in evaluation mode during training, so they have no dropout.
    """

    def __init__(self, pretrained: PreTrainedModel, pooling: Pooling, dropout: float | None = None) -> None:
        super().__init__()
        self.pooling = pooling
        self.frozen_layers = 0
        self.frozen: tuple[nn.Module, ...] = ()
        self.prefix = f"body.{pretrained.base_model_prefix}." if pooling == "cls" else "body."
        self.body: PreTrainedModel = pretrained if pooling == "cls" else _encoder_of(pretrained)
        if pooling == "cls":
            self._check_head()
            return
        config: Any = pretrained.config
        if getattr(self.body, "pooler", None) is not None:
            self.body.pooler = nn.Identity()  # its output is not used, and it would be stored as trained weights
        width = 2 * self.hidden_size
        self.head = nn.Sequential(
            nn.LayerNorm(self.feature_size),
            nn.Linear(self.feature_size, width),
            nn.GELU(),
            nn.Dropout(HEAD_DROPOUT if dropout is None else dropout),
            nn.Linear(width, config.num_labels),
        )

    @property
    def encoder(self) -> PreTrainedModel:
        """The pre-trained encoder."""
        return _base(self.body)

    def _check_head(self) -> None:
        """Rejects architectures whose head is a part of the encoder, because it would be frozen with the encoder."""
        if not any(isinstance(module, nn.Linear) for module in self._head_modules()):
            raise UserError(
                f"the head of {type(self.body).__name__} cannot be separated from its encoder; choose another "
                "model.backbone"
            )

    @property
    def embeddings(self) -> list[nn.Module]:
        """The embedding modules, below the encoder's layers."""
        named = getattr(self.encoder, "embeddings", None)
        if isinstance(named, nn.Module):
            return [named]
        inside = {id(module) for module in self.layers.modules()}
        # Token and position embeddings; T5's relative position embeddings are inside its layers.
        return [one for one in self.encoder.modules() if isinstance(one, nn.Embedding) and id(one) not in inside]

    @property
    def depth(self) -> int:
        """The number of layers of the encoder.

        Raises:
            UserError: Its configuration has no ``num_hidden_layers``.
        """
        depth = getattr(self.encoder.config, "num_hidden_layers", None)
        if not isinstance(depth, int):
            raise UserError(
                f"{type(self.encoder).__name__} does not state its number of layers; leave out model.trainable_layers"
            )
        return depth

    @cached_property
    def layers(self) -> nn.ModuleList:
        """The encoder's layers, from the lowest to the highest.

        Raises:
            UserError: There is no list of layers (ALBERT's layers share their weights), or there are several (BART).
        """
        lists = [module for module in self.encoder.modules() if isinstance(module, nn.ModuleList)]
        found = [one for one in lists if len(one) == self.depth and not _is_inside(one, lists)]
        if len(found) == 1:
            return found[0]
        kind = "one list of layers" if found else "layers with weights of their own"
        raise UserError(
            f"{type(self.encoder).__name__} has {'not ' if found else 'no '}{kind} to freeze; "
            "leave out model.trainable_layers, or set it to 1.0"
        )

    @property
    def classifier(self) -> nn.Linear:
        """The last linear layer of the head."""
        return [module for module in self._head_modules() if isinstance(module, nn.Linear)][-1]

    def _head_modules(self) -> list[nn.Module]:
        return [module for name, module in self.named_modules() if not f"{name}.".startswith(self.prefix)]

    def freeze(self, modules: Iterable[nn.Module], layers: int = 0) -> None:
        """Keeps modules in evaluation mode during training.

        Args:
            modules: The frozen modules.
            layers: The number of lower layers among them; they can be computed apart from the upper ones.
        """
        self.frozen, self.frozen_layers = tuple(modules), layers

    def train(self, mode: bool = True) -> Self:
        """Sets training or evaluation mode; frozen modules always stay in evaluation mode.

        Args:
            mode: True for training mode.
        """
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Computes logits.

        Args:
            input_ids: Token ids, ``[batch, tokens]``.
            attention_mask: 1 for tokens and 0 for padding, ``[batch, tokens]``; None if nothing is padded.

        Returns:
            Logits, ``[batch, classes]``.
        """
        if self.pooling == "mean":
            return self.classify(self.features(input_ids, attention_mask))
        config = self.body.config
        with attention_kernels(input_ids.device):
            if config.is_encoder_decoder and config.eos_token_id is not None:
                return classify_by_end_tokens(self._logits, input_ids, attention_mask, config.eos_token_id)
            return self._logits(input_ids, attention_mask)

    def _logits(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        mask = complete_mask(input_ids, attention_mask, self.encoder.config)
        return cast(Tensor, self.body(input_ids=input_ids, attention_mask=mask).logits).float()

    def states(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """The token states that enter the lowest trainable layer, i.e. the output of the frozen layers.

        Args:
            input_ids: Token ids, ``[batch, tokens]``.
            attention_mask: As in `forward`.

        Returns:
            ``[batch, tokens, hidden]``.
        """
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        with attention_kernels(input_ids.device):
            return lower_states(self.body, self.layers, self.frozen_layers, **inputs)

    def classify_states(self, states: Tensor, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Runs the trainable layers and the head.

        Args:
            states: The result of `states`, ``[batch, tokens, hidden]``.
            input_ids: The token ids of the same texts, ``[batch, tokens]``.
            attention_mask: As in `forward`.

        Returns:
            Logits, ``[batch, classes]``.
        """
        with upper_layers(self.body, self.layers, self.frozen_layers, states):
            return self(input_ids, attention_mask)  # type: ignore[no-any-return]

    def __getstate__(self) -> dict[str, Any]:
        make_picklable(self)
        return self.__dict__

    def features(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """The input of the ``mean`` head: the mean-pooled token states of three layers.

        Args:
            input_ids: Token ids, ``[batch, tokens]``.
            attention_mask: As in `forward`.

        Returns:
            ``[batch, 3 * hidden]``.
        """
        attention_mask = complete_mask(input_ids, attention_mask, self.encoder.config)
        with attention_kernels(input_ids.device):
            output = self.body(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
        # The first state is the embeddings; some architectures apply another LayerNorm after the last layer.
        states = [*output.hidden_states[1:-1], output.last_hidden_state]
        chosen = [states[max(1, round(len(states) * depth)) - 1] for depth in DEPTHS]
        return torch.cat([masked_mean(layer, attention_mask) for layer in chosen], dim=1)

    def classify(self, features: Tensor) -> Tensor:
        """Runs the ``mean`` head.

        Args:
            features: ``[batch, 3 * hidden]``.

        Returns:
            Logits, ``[batch, classes]``.
        """
        logits: Tensor = self.head(features)
        return logits.float()

    @property
    def hidden_size(self) -> int:
        """The hidden size of the encoder.

        Raises:
            UserError: Its configuration has no ``hidden_size``.
        """
        width = getattr(self.encoder.config.get_text_config(), "hidden_size", None)
        if not isinstance(width, int):
            raise UserError(
                f"{type(self.encoder).__name__} does not state its hidden size; choose another model.backbone"
            )
        return width

    @property
    def feature_size(self) -> int:
        """The input size of the ``mean`` head."""
        return len(DEPTHS) * self.hidden_size

    def head_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters of the head, the encoder's pooler included, which every task trains from scratch."""
        for name, parameter in self.named_parameters():
            if not name.startswith(self.prefix) or "pooler" in name.split("."):
                yield name, parameter


def _base(network: PreTrainedModel) -> PreTrainedModel:
    return cast(PreTrainedModel, network.base_model)


def _encoder_of(network: PreTrainedModel) -> PreTrainedModel:
    """The base model; for an encoder-decoder model, its encoder."""
    base = _base(network)
    return cast(PreTrainedModel, base.get_encoder()) if network.config.is_encoder_decoder else base


def _is_inside(one: nn.Module, others: list[nn.ModuleList]) -> bool:
    return any(one is not other and one in list(other.modules()) for other in others)
