"""From token states to logits: the architecture's own head, or the mean of the last layer and a two-layer head."""

from collections.abc import Iterator
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

Pooling = Literal["cls", "mean"]


class Network(nn.Module):
    """An encoder with a classification head.

    Args:
        pretrained: A transformers network for sequence classification.
        pooling: ``cls`` keeps its own head, ``mean`` puts another one in its place.
        dropout: Dropout of the ``mean`` head; None is that of the encoder's configuration, or 0.1.
    """

    def __init__(self, pretrained: PreTrainedModel, pooling: Pooling, dropout: float | None = None) -> None:
        super().__init__()
        self.pooling = pooling
        self.prefix = f"body.{pretrained.base_model_prefix}." if pooling == "cls" else "body."
        self.body: PreTrainedModel = pretrained if pooling == "cls" else _base(pretrained)
        if pooling == "cls":
            return
        config: Any = pretrained.config
        if getattr(self.body, "pooler", None) is not None:
            self.body.register_module("pooler", None)  # never used here, and would be stored as if it were trained
        rate = dropout if dropout is not None else getattr(config, "hidden_dropout_prob", 0.1)
        self.head = nn.Sequential(
            nn.Linear(config.hidden_size, config.hidden_size),
            nn.GELU(),
            nn.Dropout(rate),
            nn.Linear(config.hidden_size, config.num_labels),
        )

    @property
    def encoder(self) -> PreTrainedModel:
        """The pre-trained part."""
        return _base(self.body)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Classifies texts.

        Args:
            input_ids: Token ids, ``[batch, tokens]``.
            attention_mask: One for tokens and zero for padding, ``[batch, tokens]``; None where nothing is padded.

        Returns:
            Logits, ``[batch, classes]``.
        """
        if self.pooling == "mean":
            return self.classify(self.features(input_ids, attention_mask))
        logits: Tensor = self.body(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits.float()

    def features(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """What the ``mean`` head needs of a text: the mean of its token states in the last layer.

        Args:
            input_ids: Token ids, ``[batch, tokens]``.
            attention_mask: As in `forward`.

        Returns:
            ``[batch, hidden]``.
        """
        states = self.body(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return masked_mean(states, attention_mask)

    def classify(self, features: Tensor) -> Tensor:
        """The ``mean`` head.

        Args:
            features: ``[batch, hidden]``.

        Returns:
            Logits, ``[batch, classes]``.
        """
        logits: Tensor = self.head(features)
        return logits.float()

    @property
    def hidden_size(self) -> int:
        """The width of the encoder."""
        return int(self.encoder.config.hidden_size)

    def head_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters on top of the encoder, its pooler included: what a fresh task has to learn anew."""
        for name, parameter in self.named_parameters():
            if not name.startswith(self.prefix) or "pooler" in name.split("."):
                yield name, parameter


def _base(network: PreTrainedModel) -> PreTrainedModel:
    return cast(PreTrainedModel, network.base_model)


def masked_mean(states: Tensor, attention_mask: Tensor | None) -> Tensor:
    """The mean of the token states of each text, without its padding.

    Args:
        states: ``[batch, tokens, hidden]``.
        attention_mask: ``[batch, tokens]``; None where nothing is padded.

    Returns:
        ``[batch, hidden]``.
    """
    if attention_mask is None:
        return states.mean(dim=1)
    mask = attention_mask.unsqueeze(-1).to(states.dtype)
    return torch.sum(states * mask, dim=1) / mask.sum(dim=1)
