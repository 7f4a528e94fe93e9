"""Keeps what libraries say to their developers off the screen of ours."""

import logging
import warnings

# Each is nothing that a user can act on; the reason stands beside it.
WARNINGS = (
    r".*does not have many workers.*",  # padding costs less than a process to do it in
    r".*LeafSpec.*is deprecated.*",  # Lightning's, inside PyTorch
    r"LightningCLI's args parameter is intended to run from within Python.*",  # main(args) is for notebooks
    r"The number of training batches .* is smaller than the logging interval.*",  # epochs are logged too
    r"You're resuming from a checkpoint that ended before the epoch ended.*",  # our data module finds the place
    r"Checkpoint directory .* exists and is not empty.*",  # a resumed run goes on in its folder
    r"Experiment logs directory .* exists.*",
    r"Glyph \d+ .* missing from .*",  # the figures say it, once
    r"Be aware that when using `ckpt_path`, callbacks used to create.*",  # said in our words
    r"Found \d+ module\(s\) in eval mode.*",  # what is frozen has no dropout
    r"You're using the WeightAveraging callback.*",  # with a network that is built late, or to predict: both work
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
)


def hush() -> None:
    """Hides remarks of libraries about themselves; their warnings about data and results stay."""
    for message in WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
