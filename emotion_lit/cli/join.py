"""`python -m emotion_lit join OUTPUT`: puts together what `predict --prediction.shard` has labeled."""

from pathlib import Path

from emotion_lit.cluster.shards import join
from emotion_lit.training.settings.parser import EmotionParser
from emotion_lit.utils.commands import COMMANDS


def main(args: list[str]) -> None:
    """Runs the command.

    Args:
        args: The words after `join`.
    """
    parser = EmotionParser(prog="python -m emotion_lit join", description=COMMANDS["join"])
    parser.add_argument(
        "paths",
        type=Path,
        nargs="+",
        help="The --prediction.path of the shards, next to which their files are; or all of their files.",
    )
    parser.add_argument(
        "--output",
        type=Path | None,
        default=None,
        help="The file to write, if not the --prediction.path of the shards.",
    )
    parser.add_argument("--overwrite", type=bool, default=False, help="Whether to replace a file that is there.")
    typed = parser.parse_args(args)
    join(typed.paths, typed.output, typed.overwrite)
