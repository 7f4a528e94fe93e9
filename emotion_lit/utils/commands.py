"""What `python -m emotion_lit` can do, for a help page that needs no PyTorch, and commands to type next."""

import os
import shlex
import subprocess
from pathlib import Path, PurePath

# How the program is started.
PROGRAM = ("python", "-m", "emotion_lit")

COMMANDS = {
    "fit": "Train a model, and report its score before and after.",
    "validate": "Score a checkpoint on the validation split.",
    "test": "Score a checkpoint on the test split.",
    "predict": "Label texts with a checkpoint.",
    "export": "Write a checkpoint for transformers, peft or ONNX Runtime.",
    "report": "Make the report of a run again, or compare several runs.",
    "cache": "Show what the cache keeps, or remove it.",
}
# What asks for the help page of the program.
HELP: tuple[list[str], ...] = ([], ["-h"], ["--help"])


def overview() -> str:
    """The help page of the program."""
    commands = "\n".join(f"  {name:<10}{description}" for name, description in COMMANDS.items())
    return f"""usage: python -m emotion_lit COMMAND [--config FILE] [--KEY VALUE ...]

Fine-tune BERT, with or without LoRA, to recognise emotions in text, and label text in bulk.

commands:
{commands}

  COMMAND --help            all settings of a command, with their meaning and defaults
  COMMAND --print_config    the configuration that would be used, as YAML

examples:
  python -m emotion_lit fit --config configs/quickstart.yaml
  python -m emotion_lit predict --ckpt_path best.ckpt --data.predict_path texts.txt --prediction.path labels.csv
"""


def command_line(*words: object) -> str:
    """A command as it can be pasted into a shell: words with blanks or signs of the shell are quoted.

    Args:
        words: The words; paths are written with slashes.
    """
    written = [word.as_posix() if isinstance(word, PurePath) else str(word) for word in words]
    return subprocess.list2cmdline(written) if os.name == "nt" else shlex.join(written)


def resume_command(run: Path) -> str:
    """The command that goes on with a run.

    Args:
        run: The run folder.
    """
    return command_line(*PROGRAM, "fit", "--ckpt_path", run / "checkpoints" / "last.ckpt")


def how_to_end(run: Path) -> str:
    """What to type so that a run comes to its report.

    Args:
        run: The run folder, or a folder that was taken for one.
    """
    if any((run / "checkpoints" / name).is_file() for name in ("last.ckpt", "previous.ckpt")):
        return f"go on with: {resume_command(run)}"
    if (run / "config.yaml").is_file():
        again = command_line(*PROGRAM, "fit", "--config", run / "config.yaml")
        return f"it ended before its first checkpoint, so start it anew with: {again}"
    return "runs are in logs/NAME/version_N"
