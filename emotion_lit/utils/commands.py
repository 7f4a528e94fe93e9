"""The commands of the program, its help page, and command lines to copy."""

import os
import shlex
import subprocess
from pathlib import Path, PurePath

# How the program is started.
PROGRAM = ("python", "-m", "emotion_lit")

COMMANDS = {
    "fit": "Fine-tune a model, and report its scores before and after.",
    "validate": "Evaluate a checkpoint on the validation split.",
    "test": "Evaluate a checkpoint on the test split.",
    "predict": "Label texts with a checkpoint.",
    "join": "Join the shards of a prediction.",
    "sweep": "Search for better settings of fit, within a budget.",
    "export": "Export a checkpoint to transformers, peft or ONNX Runtime.",
    "report": "Rebuild the report of a run, or compare several runs.",
    "cache": "Show the size of the cache, or clear it.",
}
# Arguments that print the help page.
HELP: tuple[list[str], ...] = ([], ["-h"], ["--help"])


def overview() -> str:
    """The help page of the program."""
    commands = "\n".join(f"  {name:<10}{description}" for name, description in COMMANDS.items())
    return f"""usage: python -m emotion_lit COMMAND [--config FILE_OR_RECIPE] [--KEY VALUE ...]

Fine-tune BERT, with or without LoRA, to recognize emotions in text, and label text in bulk.

commands:
{commands}

  COMMAND --help            all settings of a command, with their meaning and defaults
  COMMAND --print_config    the settings that the command would use, as YAML

examples:
  python -m emotion_lit fit --config quickstart
  python -m emotion_lit predict --ckpt_path best.ckpt --data.predict_path texts.txt --prediction.path labels.csv
"""


def command_line(*words: object) -> str:
    """A command line to paste into a shell, with words quoted if necessary.

    Args:
        words: The words; paths are written with slashes.
    """
    written = [word.as_posix() if isinstance(word, PurePath) else str(word) for word in words]
    return subprocess.list2cmdline(written) if os.name == "nt" else shlex.join(written)


def resume_command(run: Path) -> str:
    """The command that resumes a run.

    Args:
        run: The run folder.
    """
    return command_line(*PROGRAM, "fit", "--ckpt_path", run / "checkpoints" / "last.ckpt")


def finish_advice(run: Path) -> str:
    """The advice for a run that has no report yet.

    Args:
        run: The run folder, or a folder that may be one.
    """
    if any((run / "checkpoints" / name).is_file() for name in ("last.ckpt", "previous.ckpt")):
        return f"resume with: {resume_command(run)}"
    if (run / "config.yaml").is_file():
        again = command_line(*PROGRAM, "fit", "--config", run / "config.yaml")
        return f"it ended before its first checkpoint, so start it again with: {again}"
    return "runs are in logs/NAME/version_N"
