import json
from pathlib import Path
from typing import Any

import pytest
import torch

from emotion_lit.data.tokenization import tokenizer_sha256
from emotion_lit.errors import UserError
from emotion_lit.model import backbone
from emotion_lit.model.bundled_files import bundle_files, load_bundled
from emotion_lit.utils import hub
from tests.model.encoders import make_encoder


def network(name: str = "embedded", dropout: float | None = None) -> Any:
    return backbone.load_network(name, ["a", "b", "c"], multi_label=False, dropout=dropout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The embedded encoder in a folder of its own, as somebody's own model would be."""
    path = tmp_path_factory.mktemp("model")
    network().base_model.save_pretrained(path)
    backbone.load_tokenizer("embedded").save_pretrained(path)
    return str(path)


def test_identity_is_that_of_the_content(folder: str) -> None:
    assert backbone.network_sha256(network()) == backbone.network_sha256(network(folder))
    tokenizers = [backbone.load_tokenizer(name) for name in ("embedded", folder)]
    assert len({tokenizer_sha256(tokenizer) for tokenizer in tokenizers}) == 1
    changed = network()
    with torch.no_grad():
        changed.base_model.embeddings.word_embeddings.weight[0, 0] += 1e-3
    assert backbone.network_sha256(changed) != backbone.network_sha256(network())


def test_identity_does_not_depend_on_how_the_tokenizer_was_used() -> None:
    tokenizer = backbone.load_tokenizer("embedded")
    before = tokenizer_sha256(tokenizer)
    tokenizer(["some text"], truncation=True, max_length=5, padding="max_length")
    assert tokenizer_sha256(tokenizer) == before


def test_labels_and_dropout_stand_in_the_configuration() -> None:
    config = network(dropout=0.3).config
    assert config.id2label == {0: "a", 1: "b", 2: "c"}
    assert (config.hidden_dropout_prob, config.attention_probs_dropout_prob) == (0.3, 0.3)


def test_a_head_of_another_size_is_made_anew(tmp_path: Path, folder: str) -> None:
    network(folder).save_pretrained(tmp_path)
    backbone.load_tokenizer("embedded").save_pretrained(tmp_path)
    two = backbone.load_network(str(tmp_path), ["x", "y"], multi_label=False, dropout=None)
    assert two.config.num_labels == 2


def test_files_carry_network_and_tokenizer() -> None:
    tokenizer = backbone.load_tokenizer("embedded")
    files = bundle_files(network(), tokenizer)
    carried, carried_tokenizer = load_bundled(files)
    assert {k: v.shape for k, v in carried.state_dict().items()} == {
        k: v.shape for k, v in network().state_dict().items()
    }
    assert carried_tokenizer("so it goes")["input_ids"] == tokenizer("so it goes")["input_ids"]


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all"])
def test_a_missing_folder_is_named(name: str) -> None:
    with pytest.raises(UserError, match=f"there is no backbone folder {name}"):
        backbone.locate(name)


def test_a_folder_of_something_else_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no config\.json"):
        backbone.locate(str(tmp_path))


def test_another_embedded_encoder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbone, "EMBEDDED_SHA256", "0" * 64)
    with pytest.raises(UserError, match="the embedded encoder has sha256 53aa51172d14"):
        backbone.locate("embedded")


def test_without_the_hub_the_message_says_what_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    hub.reachable.cache_clear()
    try:
        with pytest.raises(UserError, match="cannot be reached. Offline, model.backbone takes `embedded`"):
            backbone.load_tokenizer("nobody/no-such-model")
    finally:
        hub.reachable.cache_clear()


def test_bundled_tokenizers_pad_as_their_network_reads_whatever_was_saved(tmp_path: Path) -> None:
    make_encoder("xlnet", tmp_path)
    tokenizer = backbone.load_tokenizer(str(tmp_path))
    files = bundle_files(network(str(tmp_path)), tokenizer)
    settings = json.loads(files["tokenizer_config.json"])
    settings.pop("padding_side", None)  # as transformers 5.1 saves it
    _, loaded = load_bundled({**files, "tokenizer_config.json": json.dumps(settings)})
    assert (tokenizer.padding_side, loaded.padding_side) == ("left", "left")
