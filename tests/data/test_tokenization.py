from pathlib import Path

import numpy as np
import pytest
from transformers import PreTrainedTokenizer

from emotion_lit.data.tokenization import cached_tokens, tokenize
from emotion_lit.model.backbone import load_tokenizer
from emotion_lit.utils import caches
from tests.utils.test_caches import DAMAGES, Damage

TEXTS = ["what a day!", "I am not amused", "so long " * 80]


def test_tokens_are_those_of_the_tokenizer() -> None:
    tokenizer = load_tokenizer("embedded")
    tokens = tokenize(TEXTS, tokenizer, max_length=32)
    for place, text in enumerate(TEXTS):
        ids = tokens.ids[tokens.offsets[place] : tokens.offsets[place + 1]].tolist()
        assert ids == tokenizer(text, truncation=True, max_length=32)["input_ids"]
    assert tokens.lengths.tolist()[2] == 32


def test_truncated_texts_are_known_without_tokenizing_them_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = load_tokenizer("embedded")
    texts = ["so " * size for size in (1, 29, 30, 31, 200)]
    seen: list[str] = []
    encode = type(tokenizer).__call__

    def counted(self: object, chunk: list[str], **how: object) -> object:
        seen.extend(chunk)
        return encode(self, chunk, **how)

    monkeypatch.setattr(type(tokenizer), "__call__", counted)
    tokens = tokenize(texts, tokenizer, max_length=32)
    assert tokens.truncated is not None
    assert tokens.truncated.tolist() == [False, False, False, True, True]
    assert tokens.lengths.tolist() == [3, 31, 32, 32, 32]
    assert seen == texts


class WordTokenizer(PreTrainedTokenizer):
    """A tokenizer in Python, which does not return the tokens that it cuts off."""

    vocab_size = 2

    def __init__(self) -> None:
        names = {"unk_token": "[UNK]", "pad_token": "[PAD]"}
        super().__init__(**names)  # type: ignore[no-untyped-call]

    def get_vocab(self) -> dict[str, int]:
        return {"[PAD]": 0, "[UNK]": 1}

    def _tokenize(self, text: str, **_: object) -> list[str]:
        return text.split()

    def _convert_token_to_id(self, token: str) -> int:
        return self.get_vocab().get(token, 1)


def test_truncated_texts_of_a_tokenizer_in_python() -> None:
    tokens = tokenize(["so", "so long", "so very long"], WordTokenizer(), max_length=2)
    assert tokens.truncated is not None
    assert tokens.truncated.tolist() == [False, False, True]


def test_the_second_time_they_come_from_the_cache(tmp_path: Path) -> None:
    tokenizer = load_tokenizer("embedded")
    first = cached_tokens(TEXTS, tokenizer, 32, tmp_path, "")
    again = cached_tokens(TEXTS, tokenizer, 32, tmp_path, "")
    assert (first.from_cache, again.from_cache) == (False, True)
    np.testing.assert_array_equal(first.ids, again.ids)
    np.testing.assert_array_equal(first.offsets, again.offsets)


@pytest.mark.parametrize(("texts", "max_length"), [([*TEXTS, "more"], 32), (TEXTS, 31), (TEXTS[::-1], 32)])
def test_what_determines_them_makes_another_cache(tmp_path: Path, texts: list[str], max_length: int) -> None:
    tokenizer = load_tokenizer("embedded")
    cached_tokens(TEXTS, tokenizer, 32, tmp_path, "")
    assert not cached_tokens(texts, tokenizer, max_length, tmp_path, "").from_cache


@pytest.mark.parametrize("name", ["ids", "offsets"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_noticed_and_made_good(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, damage: Damage
) -> None:
    tokenizer = load_tokenizer("embedded")
    first = cached_tokens(TEXTS, tokenizer, 32, tmp_path, "")
    ids, offsets = np.array(first.ids), np.array(first.offsets)
    file = tmp_path / "tokens" / first.key / f"{name}.npy"
    whole = file.read_bytes()
    damage(file)
    caches._warned.clear()
    again = cached_tokens(TEXTS, tokenizer, 32, tmp_path, "")
    assert "is damaged" in capsys.readouterr().err
    assert not again.from_cache
    np.testing.assert_array_equal(again.ids, ids)
    np.testing.assert_array_equal(again.offsets, offsets)
    assert file.read_bytes() == whole
    assert cached_tokens(TEXTS, tokenizer, 32, tmp_path, "").from_cache
