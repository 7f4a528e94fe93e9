"""The command line."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emotion_lit.training.settings.lightning_cli import EmotionCLI


def main(args: Any = None) -> "EmotionCLI | None":
    """Runs a command; a user's mistake ends it with a one-line error and exit code 2.

    Args:
        args: The words of the command; by default those of the process.

    Returns:
        The data, the model and the Trainer of a command that has them.

    Raises:
        SystemExit: The command has failed, or has nothing to return.
        KeyboardInterrupt: It was interrupted; the command to resume has been printed.
    """
    from emotion_lit.cli.entry_point import main  # imports Lightning, which takes seconds

    return main(args)
