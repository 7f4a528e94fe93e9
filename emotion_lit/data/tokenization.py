"""Token ids of texts, cached on disk under a hash of everything that determines them."""

import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from transformers import BatchEncoding, PreTrainedTokenizerBase

from emotion_lit.errors import UserError
from emotion_lit.utils import caches
from emotion_lit.utils.checksums import append_checksum, read_array
from emotion_lit.utils.console import progress_bar
from emotion_lit.utils.files import atomic_path, reason_of, why_not_writable

# Increase it when the same inputs give other files.
FORMAT = 2
CHUNK = 2048
# The arrays in the cache.
ARRAYS = ("ids", "offsets")

# Hashes of tokenizers, by the hash of their unsorted JSON.
_sorted_hashes: dict[bytes, str] = {}


@dataclass(frozen=True)
class Tokens:
    """The token ids of many texts, one text after the other.

    Args:
        ids: All token ids, ``[tokens]``.
        offsets: The index of each text's first token, and the number of tokens, ``[texts + 1]``.
        key: A hash of everything that determines them; empty without a cache.
        from_cache: Whether they were read from the cache.
        truncated: Whether each text was truncated, ``[texts]``; None for tokens from the cache.
    """

    ids: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]
    key: str = ""
    from_cache: bool = False
    truncated: npt.NDArray[np.bool_] | None = None

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens per text, ``[texts]``."""
        return np.diff(self.offsets)


def tokenize(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int, title: str = "") -> Tokens:
    """Tokenizes texts, special tokens included.

    Args:
        texts: The texts.
        tokenizer: The backbone's tokenizer.
        max_length: The number of tokens after which a text is truncated.
        title: The title of the progress bar; without a title there is none.
    """
    ids: list[npt.NDArray[np.int32]] = []
    lengths: list[int] = []
    truncated: list[bool] = []
    with progress_bar(title, len(texts), enabled=bool(title)) as bar:
        for start in range(0, len(texts), CHUNK):
            chunk = list(texts[start : start + CHUNK])
            encoded = tokenizer(
                chunk, truncation=True, max_length=max_length, return_attention_mask=False, return_token_type_ids=False
            )
            rows = encoded["input_ids"]
            lengths.extend(map(len, rows))
            ids.append(np.fromiter(itertools.chain.from_iterable(rows), dtype=np.int32))
            truncated += _truncated(chunk, encoded, tokenizer, max_length)
            bar.update(len(chunk))
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
    all_ids = np.concatenate(ids) if ids else np.empty(0, np.int32)
    return Tokens(all_ids, offsets, truncated=np.array(truncated, dtype=np.bool_))


def _truncated(
    texts: Sequence[str], encoded: BatchEncoding, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> list[bool]:
    """Whether each text has more tokens than were kept."""
    full = [len(row) >= max_length for row in encoded["input_ids"]]
    if encoded.encodings is not None:
        return [is_full and bool(one.overflowing) for is_full, one in zip(full, encoded.encodings, strict=True)]
    # A tokenizer in Python does not return what it cut off.
    return [
        is_full and len(tokenizer(text, verbose=False)["input_ids"]) > max_length
        for is_full, text in zip(full, texts, strict=True)
    ]


def tokenizer_sha256(tokenizer: PreTrainedTokenizerBase) -> str:
    """A hash of a tokenizer's vocabulary and rules, without truncation and padding, which each call sets."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        rules: dict[str, Any] = {"vocabulary": tokenizer.get_vocab(), "class": type(tokenizer).__name__}
        return hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()
    text = backend.to_str()
    # A run asks several times, and sorting a vocabulary takes a hundred times as long as hashing it.
    key = hashlib.sha256(text.encode()).digest()
    if key not in _sorted_hashes:
        rules = {**json.loads(text), "truncation": None, "padding": None}
        _sorted_hashes[key] = hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()
    return _sorted_hashes[key]


def cached_tokens(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int, cache_dir: Path, title: str
) -> Tokens:
    """The tokens of texts, read from the cache, or computed and cached.

    Args:
        texts: The texts.
        tokenizer: The backbone's tokenizer.
        max_length: The number of tokens after which a text is truncated.
        cache_dir: The folder of caches.
        title: The title of the progress bar.

    Returns:
        Memory-mapped tokens; tokens in memory if the cache cannot be used.
    """
    key = _key(texts, tokenizer, max_length)
    kept = _read(cache_dir / "tokens" / key, len(texts))
    if kept is not None:
        return kept
    tokens = replace(tokenize(texts, tokenizer, max_length, title), key=key)
    return _keep(tokens, cache_dir / "tokens")


def _key(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int) -> str:
    content = hashlib.sha256()
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass")
        content.update(len(raw).to_bytes(8, "little"))
        content.update(raw)
    what = {
        "format": FORMAT,
        "texts": content.hexdigest(),
        "tokenizer": tokenizer_sha256(tokenizer),
        "max_length": max_length,
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:32]


def _keep(tokens: Tokens, folder: Path) -> Tokens:
    """Caches tokens, and memory-maps them if that works."""
    reason = why_not_writable(folder)
    try:
        if reason is None:
            with atomic_path(folder / tokens.key) as unfinished:
                unfinished.mkdir()
                for name in ARRAYS:
                    np.save(unfinished / f"{name}.npy", getattr(tokens, name))
                    append_checksum(unfinished / f"{name}.npy")
            kept = _read(folder / tokens.key, len(tokens.offsets) - 1)
            return tokens if kept is None else replace(kept, from_cache=False)
    except OSError as error:
        reason = reason_of(error)
    caches.warn_unusable(folder, f"cannot be written: {reason}", "continuing without it")
    return tokens


def _read(folder: Path, texts: int) -> Tokens | None:
    """The cached tokens of this number of texts; None if they are missing or damaged."""
    ids, offsets = (read_array(folder / f"{name}.npy") for name in ARRAYS)
    if ids is None or offsets is None:
        return None
    if len(offsets) != texts + 1 or offsets[0] != 0 or offsets[-1] != len(ids):
        caches.warn_unusable(folder, "is damaged", "computing it again")
        return None
    return Tokens(ids, np.array(offsets), folder.name, from_cache=True)


def check_max_length(max_length: int, tokenizer: PreTrainedTokenizerBase, positions: int | None) -> None:
    """Checks that the tokenizer and the encoder can read texts of a length.

    Args:
        max_length: The length, in tokens.
        tokenizer: The backbone's tokenizer.
        positions: The number of positions of the encoder; None if it has no limit.

    Raises:
        UserError: They cannot.
    """
    longest = min(size for size in (positions, tokenizer.model_max_length, max_length) if size)
    if max_length > longest:
        raise UserError(
            f"data.max_length is {max_length}, but the backbone reads at most {longest} tokens; "
            f"set --data.max_length {longest}"
        )
