"""The argument parser, with errors of one line."""

import difflib
import io
import itertools
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

import jsonargparse._core
import jsonargparse._paths
from lightning.pytorch.cli import LightningArgumentParser

from emotion_lit.configs import read_config
from emotion_lit.errors import UserError

CONFIG_FLAGS = ("--config", "-c")


def _open_utf8(path: str, mode: str = "r") -> IO[Any]:
    """Opens a configuration, with or without a byte order mark.

    Raises:
        UserError: It is in another encoding, or too large for a configuration.
    """
    if mode != "r":
        return Path(path).open(mode, encoding=None if "b" in mode else "utf-8")
    return io.StringIO(read_config(path))


# jsonargparse opens files in the encoding of the system, which on Windows makes other labels of them.
for module in (jsonargparse._core, jsonargparse._paths):
    vars(module)["open"] = _open_utf8


def configs_first(words: Sequence[str], commands: Collection[str]) -> list[str]:
    """The words of a command, with configurations before all else, so that what is typed beats them wherever it stands.

    Args:
        words: The words.
        commands: The commands there are; configurations before one of them are of all commands, and stay.
    """
    start = next((place + 1 for place, word in enumerate(words) if word in commands), len(words))
    configs, following = list(words[:start]), iter(words[start:])
    others: list[str] = []
    for word in following:
        if word in CONFIG_FLAGS:
            configs += [word, *itertools.islice(following, 1)]
        else:
            (configs if word.startswith(CONFIG_FLAGS[0] + "=") else others).append(word)
    return configs + others


def is_typed(key: str, words: Sequence[str]) -> bool:
    """Whether a setting stands on the command line itself.

    Args:
        key: Its dotted key.
        words: The words of the command.
    """
    return any(word == f"--{key}" or word.startswith(f"--{key}=") for word in words)


class EmotionParser(LightningArgumentParser):
    """Lightning's parser, whose errors name the key and the nearest one that exists instead of printing the usage."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raises the error in one line.

        Args:
            message: What is wrong.
            ex: What was raised about it.

        Raises:
            UserError: Always.
        """
        line = " ".join(part.strip() for part in str(message).splitlines() if part.strip())
        raise UserError(line + self._hint(line)) from ex

    def _hint(self, message: str) -> str:
        known = sorted(self._keys())
        for word in re.findall(r"[\w.]+", message):
            if "." in word or "_" in word or f"--{word}" in message:
                near = difflib.get_close_matches(word, known, n=1, cutoff=0.75)
                if near and near[0] != word and word not in known:
                    return f" Did you mean {near[0]}?"
        return ""

    def _keys(self) -> set[str]:
        parsers: list[Any] = [self]
        for action in self._actions:
            if isinstance(getattr(action, "choices", None), dict):
                parsers += list(action.choices.values())  # type: ignore[union-attr]
        return {action.dest for parser in parsers for action in parser._actions if action.dest}
