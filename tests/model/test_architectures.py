"""Any encoder works: other architectures than BERT, tiny and untrained, through the same commands."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModel, DistilBertConfig, ModernBertConfig, RobertaConfig

from emotion_lit import load
from emotion_lit.cli import main
from emotion_lit.model.backbone import load_tokenizer
from tests.conftest import SMALL

TINY: dict[str, Any] = {
    "vocab_size": 30522,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "pad_token_id": 0,
    "bos_token_id": 101,
    "eos_token_id": 102,
}
CONFIGS: dict[str, Any] = {
    "distilbert": DistilBertConfig(dim=32, hidden_dim=64, n_layers=2, n_heads=2),
    "roberta": RobertaConfig(**TINY, max_position_embeddings=514),
    "modernbert": ModernBertConfig(**TINY, cls_token_id=101, sep_token_id=102),
}


@pytest.mark.parametrize("tuning", ["head", "lora", "full"])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_it_trains_and_predicts(architecture: str, tuning: str, tmp_path: Path) -> None:
    folder = tmp_path / "backbone"
    make: Any = AutoModel.from_config
    make(CONFIGS[architecture]).save_pretrained(folder)
    load_tokenizer("embedded").save_pretrained(folder)
    settings = [f"--model.backbone={folder}", f"--model.tuning={tuning}", "--model.learning_rate=1e-3"]
    main(["fit", *SMALL, *settings, "--trainer.max_epochs=1", f"--trainer.default_root_dir={tmp_path}"])
    model = load(tmp_path / "emotion" / "version_0", backbone=None if tuning == "full" else str(folder))
    assert model("what a day!").label in model.labels
