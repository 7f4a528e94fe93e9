"""Warnings and log levels of the libraries: messages that a user cannot act on are hidden."""

import logging
import warnings

from emotion_lit.utils.console import say

# Hidden warnings, with the reasons why a user cannot act on them.
WARNINGS = (
    r".*does not have many workers.*",  # padding costs less than a process to do it in
    r".*LeafSpec.*is deprecated.*",  # Lightning's, inside PyTorch
    r"LightningCLI's args parameter is intended to run from within Python.*",  # main(args) is for notebooks
    r"The number of training batches .* is smaller than the logging interval.*",  # epochs are logged too
    r"You're resuming from a checkpoint that ended before the epoch ended.*",  # the data module restores the position
    r"Checkpoint directory .* exists and is not empty.*",  # a resumed run continues in its folder
    r"Experiment logs directory .* exists.*",
    r"Glyph \d+ .* missing from .*",  # the figures report it once
    r"Be aware that when using `ckpt_path`, callbacks used to create.*",  # reported in another message
    r"Found \d+ module\(s\) in eval mode.*",  # frozen modules stay in evaluation mode
    r"You're using the WeightAveraging callback.*",  # with a network that is built late, or to predict: both work
    r"You are trying to `self.log\(\)` but `Trainer\(barebones.*",  # a line says that no scores are made
    r"Precision .* is not supported by the model summary.*",  # its estimate of bytes
    r"You requested to overfit but enabled .* shuffling.*",  # our batches stay the same then
    r"CUDA initialization: .*",  # a driver that is too old is reported in another message
    r".*cache-system uses symlinks.*",  # huggingface_hub's on Windows; without them it copies
)
LOGGERS = (
    "matplotlib",
    "lightning.pytorch",
    "lightning.fabric",
    "pytorch_lightning",
    "transformers",
    "httpx",
    "huggingface_hub",
    "tensorboard",
)
# Shown, because the user has set a profiler, a model summary, `verbose`, or a tuner.
ASKED_FOR = (
    *(f"lightning.pytorch.callbacks.{name}" for name in ("model_summary", "early_stopping", "finetuning", "pruning")),
    *("lightning.pytorch.profilers.profiler", "lightning.pytorch.tuner.lr_finder"),
    "lightning.pytorch.tuner.batch_size_scaling",
)


class _ConsoleHandler(logging.Handler):
    """Prints records without breaking a progress bar, and adds them to the log of the run."""

    def emit(self, record: logging.LogRecord) -> None:
        """Prints a record."""
        say(record.getMessage(), wrap=False)


def quiet_libraries() -> None:
    """Hides messages of libraries that a user cannot act on; warnings about data and results stay."""
    for message in WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in ASKED_FOR:
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.handlers, logger.propagate = [_ConsoleHandler()], False
