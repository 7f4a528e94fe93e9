"""Replaces the attention of an encoder, and makes attention masks without reading them."""

from collections.abc import Callable
from typing import Any

from transformers import PreTrainedModel

UNREAD = "emotion_lit_sdpa"
SDPA = "sdpa"
# With these, transformers leaves out a mask if it sees that no text is padded. Batches without padding have no mask
# here, and to look at a mask is to wait for the GPU.
SKIPS = ("allow_is_bidirectional_skip", "allow_is_causal_skip")


def has_replaceable_attention(encoder: PreTrainedModel) -> bool:
    """Whether the attention function of an encoder can be replaced; that of DeBERTa and some others cannot.

    Args:
        encoder: The encoder.
    """
    return bool(getattr(encoder, "_supports_attention_backend", False)) and hasattr(encoder, "set_attn_implementation")


def replace_attention(encoder: Any, name: str, attend: Callable[..., Any], make_mask: Callable[..., Any]) -> None:
    """Replaces the attention of an encoder; `use_own_attention` restores it.

    Args:
        encoder: The encoder.
        name: The name of the attention function in transformers.
        attend: The attention function.
        make_mask: Makes its masks.
    """
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(name, attend)
    AttentionMaskInterface.register(name, without_reading(make_mask))
    own = encoder.config._attn_implementation
    if own != name:
        encoder.set_attn_implementation(name)
        encoder._own_attention = own


def use_own_attention(encoder: Any) -> None:
    """Undoes `replace_attention`.

    Args:
        encoder: The encoder.
    """
    own = encoder.__dict__.pop("_own_attention", None)
    if own is not None:
        encoder.set_attn_implementation(own)


def skip_mask_inspection(encoder: Any) -> None:
    """Makes an encoder with scaled dot product attention build its masks without reading them.

    Args:
        encoder: The encoder.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    if encoder.config._attn_implementation == SDPA:
        replace_attention(encoder, UNREAD, sdpa_attention_forward, sdpa_mask)


def without_reading(make_mask: Callable[..., Any]) -> Callable[..., Any]:
    """A function for masks that does not look whether a given mask could be left out.

    Args:
        make_mask: A function for masks of transformers.
    """

    def make(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("attention_mask") is not None:
            kwargs.update(dict.fromkeys(SKIPS, False))
        return make_mask(*args, **kwargs)

    return make
