"""Runs a command with `trainer.strategy fsdp` on CPUs, where it is refused because it is of no use."""

import sys

from emotion_lit.cli import main
from emotion_lit.training.settings import trainer_setup

if __name__ == "__main__":
    setattr(trainer_setup, "check_strategy", lambda *_, **__: None)  # noqa: B010, not exported
    main(sys.argv[1:])
