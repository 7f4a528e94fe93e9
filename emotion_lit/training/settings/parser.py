"""The argument parser: one-line errors, help with the settings that a command uses, and `~` in paths."""

import argparse
import functools
import io
import itertools
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import IO, Any, NoReturn

import jsonargparse
import jsonargparse._core
import jsonargparse._paths
import yaml
from lightning.pytorch.cli import LightningArgumentParser

from emotion_lit.errors import UserError
from emotion_lit.training.settings.aliases import nearest
from emotion_lit.training.settings.config_files import find_recipe, read_config
from emotion_lit.training.settings.parser_errors import simplify_error, simplify_object_error
from emotion_lit.training.settings.unused_settings import is_listed
from emotion_lit.utils import paths
from emotion_lit.utils.commands import PROGRAM

OPTION = re.compile(r"--([\w.-]+)")
NOT_ACCEPTED = re.compile(r"does not accept option '([\w.-]+)'")
NO_OPTION = re.compile(r"Subcommand '\w+' does not accept option '(?P<key>[^']*)'")

CONFIG_FLAGS = ("--config", "-c")


def _open_utf8(path: str, mode: str = "r") -> IO[Any]:
    """Opens a configuration, with or without a byte order mark.

    Raises:
        UserError: It is in another encoding, or too large for a configuration.
    """
    if mode != "r":
        return Path(path).open(mode, encoding=None if "b" in mode else "utf-8")
    return io.StringIO(read_config(path))


# jsonargparse opens files in the system's encoding, which garbles labels on Windows.
for module in (jsonargparse._core, jsonargparse._paths):
    vars(module)["open"] = _open_utf8
# Some defaults of Lightning are string enums, such as Timer's interval.
yaml.SafeDumper.add_multi_representer(Enum, lambda dumper, member: dumper.represent_data(member.value))


def _load_value(text: str) -> Any:
    """Parses a YAML value; a value on the command line that starts with `#`, such as a separator, is not a comment."""
    return text if text.lstrip().startswith("#") and "\n" not in text else load_yaml(text)


load_yaml: Callable[[str], Any] = jsonargparse.get_loader("yaml")  # also reads 1e-3 as a number
jsonargparse.set_loader("yaml", _load_value, (yaml.YAMLError,))


def configs_first(words: Sequence[str], commands: Collection[str]) -> list[str]:
    """Moves configurations to the front of the arguments, so that other arguments override them in any order.

    The names of recipes are replaced by paths.

    Args:
        words: The arguments.
        commands: All commands; configurations in front of the command apply to all commands, and are not moved.
    """
    start = next((place + 1 for place, word in enumerate(words) if word in commands), len(words))
    configs: list[str] = []
    others: list[str] = []
    following = enumerate(words)
    for place, word in following:
        flag, equals, value = word.partition("=")
        if word in CONFIG_FLAGS:
            configs += [word, *(_recipe(name) for _, name in itertools.islice(following, 1))]
        elif equals and flag == CONFIG_FLAGS[0]:
            configs.append(f"{flag}={_recipe(value)}")
        else:
            (configs if place < start else others).append(word)
    return configs + others


def _recipe(name: str) -> str:
    """The path of a recipe; other names are returned unchanged."""
    return str(find_recipe(name) or name)


class EmotionParser(LightningArgumentParser):
    """Lightning's parser, with one-line errors that suggest the nearest setting instead of printing the usage.

    Attributes:
        is_listed: Whether a setting, by its dotted key, is one that the help lists and errors suggest.
    """

    is_listed: Callable[[str], bool] = staticmethod(lambda _: True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def parse_args(self, *args: Any, **kwargs: Any) -> Any:
        """Parses a command line.

        Returns:
            The settings, with `~` expanded.
        """
        return _expanded(super().parse_args(*args, **kwargs))

    def parse_object(self, *args: Any, **kwargs: Any) -> Any:
        """Parses settings from Python.

        Returns:
            The settings, with `~` expanded.
        """
        return _expanded(super().parse_object(*args, **kwargs))

    def instantiate_classes(self, *args: Any, **kwargs: Any) -> Any:
        """Creates the objects that settings describe.

        Raises:
            UserError: An object cannot be created, often because a package is not installed.
        """
        try:
            return super().instantiate_classes(*args, **kwargs)
        except (ValueError, TypeError) as error:
            line = simplify_object_error(str(error))
            if line is None:
                raise
            raise UserError(line) from error

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raises the error in one line.

        Args:
            message: The message.
            ex: Its cause.

        Raises:
            UserError: Always.
        """
        line = simplify_error(str(message), self.types())
        hint = self._hint(line)
        line = NO_OPTION.sub(r"there is no setting \g<key>", line)
        raise UserError(line.rstrip(".") + hint if hint else line) from ex

    def listed_settings(self) -> list[str]:
        """The settings that the help lists and errors suggest, by dotted key."""
        return [key for key in self.types() if self.is_listed(key)]

    def format_help(self, *args: Any, **kwargs: Any) -> str:
        """The help page, with the settings that the command uses."""
        with self._only_listed():
            return str(super().format_help(*args, **kwargs))

    @contextmanager
    def _only_listed(self) -> Iterator[None]:
        """Hides other settings while the help is printed; if always hidden, they would be missing in configurations."""
        hidden = [action for action in self._actions if not self.is_listed(action.dest)]
        helps, groups = [action.help for action in hidden], self._action_groups
        for action in hidden:
            action.help = argparse.SUPPRESS
        self._action_groups = [one for one in groups if any(a.help != argparse.SUPPRESS for a in one._group_actions)]
        try:
            yield
        finally:
            self._action_groups = groups
            for action, text in zip(hidden, helps, strict=True):
                action.help = text

    def _hint(self, line: str) -> str:
        known = self.listed_settings()
        words = NOT_ACCEPTED.findall(line)
        if "nrecognized arguments" in line:
            words += OPTION.findall(line)
        meant = dict.fromkeys(near for word in words if (near := nearest(word, known)) not in (None, word))
        return f". Did you mean {', '.join(meant)}?" if meant else ""

    def types(self) -> dict[str, Any]:
        """The settings by their dotted keys, and their types."""
        parsers: list[Any] = [self]
        for action in self._actions:
            if isinstance(getattr(action, "choices", None), dict):
                parsers += list(action.choices.values())  # type: ignore[union-attr]
        actions = [action for parser in parsers for action in parser._actions if action.dest and action.option_strings]
        return {action.dest: getattr(action, "_typehint", None) for action in actions}


# Lightning's help texts of these do not apply here.
HELP = {
    "ckpt_path": "A checkpoint, or a run folder, logs/NAME/version_N; `fit` resumes training from its last.ckpt. "
    "Other commands also take a Hub id.",
    "config": "A YAML file, or the name of a recipe, such as quickstart. Settings on the command line override it.",
    "seed_everything": "The seed of all random number generators; true draws one.",
}


def for_command(parser: Any, command: str, shown: str | None = None) -> None:
    """Limits the help of a parser to the settings that a command uses.

    Args:
        parser: The command's `EmotionParser`, or that of all commands.
        command: The command whose settings they are.
        shown: The command that is typed, if it is another one.
    """
    parser.is_listed = functools.partial(is_listed, command)
    parser.usage = f"{' '.join(PROGRAM)} {shown or command} [--config FILE_OR_RECIPE] [--KEY VALUE ...]"
    for action in parser._actions:
        action.help = HELP.get(action.dest, action.help)


def _expanded(settings: Any) -> Any:
    command = settings.get("subcommand")
    paths.expand_all(settings[command] if command else settings)
    return settings
