"""Tiny untrained encoders of many architectures, with the tokenizer of the embedded one."""

from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModel, PretrainedConfig

from emotion_lit.model.backbone import load_tokenizer, quiet_transformers

# What most configurations call their sizes, and the ids of the tokenizer's special tokens.
TOKENS: dict[str, Any] = {"vocab_size": 30522, "pad_token_id": 0, "bos_token_id": 101, "eos_token_id": 102}
SIZES: dict[str, Any] = {
    **TOKENS,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 160,
}
GROUPED: dict[str, Any] = {**SIZES, "num_key_value_heads": 2, "head_dim": 8}
SEQ2SEQ: dict[str, Any] = {
    **TOKENS,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "max_position_embeddings": 160,
    "decoder_start_token_id": 102,
    "forced_eos_token_id": 102,
}
# The architectures by name: a configuration class of transformers, and what it takes.
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("BertConfig", SIZES),
    "roberta": ("RobertaConfig", {**SIZES, "pad_token_id": 1}),
    "distilbert": (
        "DistilBertConfig",
        {**TOKENS, "dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 4, "max_position_embeddings": 160},
    ),
    "electra": ("ElectraConfig", {**SIZES, "embedding_size": 16}),
    "albert": ("AlbertConfig", {**SIZES, "embedding_size": 16}),
    "deberta": ("DebertaConfig", {**SIZES, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]}),
    "deberta-v2": (
        "DebertaV2Config",
        {
            **SIZES,
            "relative_attention": True,
            "pos_att_type": ["c2p", "p2c"],
            "position_biased_input": False,
            "position_buckets": 16,
        },
    ),
    "modernbert": ("ModernBertConfig", {**SIZES, "cls_token_id": 101, "sep_token_id": 102}),
    "mpnet": ("MPNetConfig", {**SIZES, "pad_token_id": 1}),
    "xlm-roberta": ("XLMRobertaConfig", {**SIZES, "pad_token_id": 1}),
    "eurobert": ("EuroBertConfig", GROUPED),
    "qwen3": ("Qwen3Config", GROUPED),
    "gpt2": ("GPT2Config", {"vocab_size": 30522, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 160}),
    "funnel": (
        "FunnelConfig",
        {
            **TOKENS,
            "d_model": 32,
            "d_inner": 64,
            "block_sizes": [1, 1],
            "architectures": ["FunnelModel"],
            "n_head": 4,
            "d_head": 8,
        },
    ),
    "squeezebert": ("SqueezeBertConfig", {**SIZES, "embedding_size": 32}),
    "big_bird": ("BigBirdConfig", {**SIZES, "block_size": 16, "num_random_blocks": 1}),
    "llama": ("LlamaConfig", GROUPED),
    "longformer": ("LongformerConfig", {**SIZES, "pad_token_id": 1, "attention_window": 16}),
    "layoutlm": ("LayoutLMConfig", SIZES),
    "t5": (
        "T5Config",
        {**TOKENS, "d_model": 32, "d_ff": 64, "num_layers": 2, "num_heads": 4, "d_kv": 8, "decoder_start_token_id": 0},
    ),
    "bart": ("BartConfig", SEQ2SEQ),
    "camembert": ("CamembertConfig", {**SIZES, "pad_token_id": 1}),
    "xlnet": ("XLNetConfig", {**TOKENS, "d_model": 32, "d_inner": 64, "n_layer": 2, "n_head": 4}),
    "nystromformer": ("NystromformerConfig", {**SIZES, "num_landmarks": 64, "segment_means_seq_len": 64}),
    "rembert": ("RemBertConfig", {**SIZES, "input_embedding_size": 16, "output_embedding_size": 16}),
    "convbert": ("ConvBertConfig", {**SIZES, "embedding_size": 32}),
    "mobilebert": ("MobileBertConfig", {**SIZES, "embedding_size": 16, "intra_bottleneck_size": 16}),
    "ibert": ("IBertConfig", {**SIZES, "pad_token_id": 1}),
    "nomic_bert": ("NomicBertConfig", SIZES),
    "gemma": ("GemmaConfig", GROUPED),
    "gemma2": ("Gemma2Config", {**GROUPED, "sliding_window": 8, "query_pre_attn_scalar": 8}),
    "gemma3": ("Gemma3TextConfig", {**GROUPED, "sliding_window": 8, "query_pre_attn_scalar": 8}),
    "mistral": ("MistralConfig", GROUPED),
    "opt": ("OPTConfig", {**SIZES, "ffn_dim": 64, "word_embed_proj_dim": 32}),
    "perceiver": (
        "PerceiverConfig",
        {
            "vocab_size": 30522,
            "d_model": 32,
            "d_latents": 32,
            "num_latents": 8,
            "num_self_attends_per_block": 2,
            "num_self_attention_heads": 4,
            "num_cross_attention_heads": 4,
            "max_position_embeddings": 160,
        },
    ),
    "canine": ("CanineConfig", {**SIZES, "bos_token_id": 0xE000, "eos_token_id": 0xE001, "num_hash_buckets": 64}),
    "fnet": ("FNetConfig", SIZES),
    "roformer": ("RoFormerConfig", {**SIZES, "embedding_size": 32}),
    "gpt_neox": ("GPTNeoXConfig", SIZES),
    "bloom": ("BloomConfig", {"vocab_size": 30522, "hidden_size": 32, "n_layer": 2, "n_head": 4}),
    "gpt_neo": (
        "GPTNeoConfig",
        {
            "vocab_size": 30522,
            "hidden_size": 32,
            "num_layers": 2,
            "num_heads": 4,
            "intermediate_size": 64,
            "attention_types": [[["global", "local"], 1]],
            "max_position_embeddings": 160,
        },
    ),
    "xlm": ("XLMConfig", {"vocab_size": 30522, "emb_dim": 32, "n_layers": 2, "n_heads": 4, "pad_index": 0}),
    "ernie": ("ErnieConfig", SIZES),
    "megatron-bert": ("MegatronBertConfig", SIZES),
    "yoso": ("YosoConfig", {**SIZES, "use_expectation": True}),
    "data2vec-text": ("Data2VecTextConfig", {**SIZES, "pad_token_id": 1}),
}


def architecture_config(name: str) -> PretrainedConfig:
    """The configuration of a tiny encoder."""
    kind, sizes = ARCHITECTURES[name]
    config: PretrainedConfig = getattr(transformers, kind)(**sizes)
    return config


def make_encoder(name: str, folder: Path, **changes: Any) -> Path:
    """A folder with a tiny untrained encoder and a tokenizer."""
    torch.manual_seed(0)
    make: Any = AutoModel.from_config
    config = architecture_config(name)
    config.initializer_range = 0.2  # so that logits are large enough to be compared
    for key, value in changes.items():
        setattr(config, key, value)
    with quiet_transformers():
        make(config).save_pretrained(folder)
    load_tokenizer("embedded").save_pretrained(folder)
    return folder
