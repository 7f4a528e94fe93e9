"""Writes the reference of all settings, emotion_lit/cli/SETTINGS.md, from the parsers of the command line.

python -m tests.settings
"""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emotion_lit.training.settings.lightning_cli import EmotionCLI
from emotion_lit.training.settings.parser import for_command
from emotion_lit.training.settings.unused_settings import is_listed

FILE = Path(__file__).parents[1] / "emotion_lit" / "cli" / "SETTINGS.md"
COMMANDS = ("fit", "validate", "test", "predict")
NOT_SETTINGS = {"config", "help", "print_config"}
HEAD = """# Settings

Every setting that the help pages of `fit`, `validate`, `test` and `predict` list. Write a setting in a configuration
(`model:`, then `tuning: lora`) or on the command line (`--model.tuning=lora`). `--print_config` prints all settings
that a command would use. The settings of `trainer` are
[Lightning's](https://lightning.ai/docs/pytorch/stable/common/trainer.html); their defaults here may differ.

This file is written by `python -m tests.settings`, and a test compares it with the parsers.
"""


class _Parsers(EmotionCLI):
    """Stops before anything is parsed."""

    def parse_arguments(self, parser: Any, args: Any) -> None:
        raise _Built(self)


class _Built(Exception):  # noqa: N818, no error
    pass


def parsers() -> dict[str, Any]:
    """Returns the parsers by command."""
    try:
        _Parsers([])
    except _Built as built:
        found: dict[str, Any] = built.args[0]._subcommand_parsers
        return found
    raise AssertionError


def rows() -> Iterator[tuple[str, str, str, str]]:
    """Yields each setting: its dotted key, its default, the commands that have it, and its help."""
    every = parsers()
    for command in COMMANDS:
        for_command(every[command], command)
    actions = {action.dest: action for command in COMMANDS for action in every[command]._actions}
    for key, action in actions.items():
        own = [command for command in COMMANDS if key in {each.dest for each in every[command]._actions}]
        listed = [command for command in own if is_listed(command, key)]
        if not listed or key in NOT_SETTINGS or action.default == argparse.SUPPRESS:
            continue
        default = every[listed[0]].get_default(key)
        written = "" if default is None else f"`{default}`"
        yield key, written, "all" if listed == list(COMMANDS) else ", ".join(listed), meaning(action.help, key)


def meaning(text: str | None, key: str) -> str:
    """Returns a help text as a cell of a table; of Lightning's, which are long, the first sentence."""
    words = " ".join((text or "").split())
    if key.startswith("trainer."):
        words = re.split(r"(?<=[.`])\s*Default: |(?<=\.)\s", words)[0]
    words = re.sub(r":\w+:(?=`)", "", words.partition(" .. note::")[0])  # the roles and notes of reStructuredText
    return re.sub(r"`{2,}", "`", words).replace("|", "\\|")


def reference() -> str:
    """Returns the whole file."""
    blocks: dict[str, list[str]] = {}
    for key, default, commands, text in rows():
        block = key.partition(".")[0] if "." in key else "The run"
        blocks.setdefault(block, []).append(f"| `{key}` | {default} | {commands} | {text} |")
    order = ["The run", *(name for name in blocks if name not in ("The run", "trainer")), "trainer"]
    parts = [HEAD]
    for name in order:
        parts.append(f"\n## {name}\n\n| setting | default | commands | meaning |\n|---|---|---|---|\n")
        parts.append("\n".join(blocks[name]) + "\n")
    return "".join(parts)


if __name__ == "__main__":
    FILE.write_text(reference(), encoding="utf-8")
