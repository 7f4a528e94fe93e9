"""The names of the checkpoints in a run folder."""

import re
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint

from emotion_lit.errors import UserError
from emotion_lit.model.checkpoint import LAST, PREVIOUS

BEST = "best"
# The names of our own checkpoints, which no other may have.
RESERVED = (BEST, *(Path(name).stem for name in (LAST, PREVIOUS)))
# The name of each checkpoint if several are kept.
SEVERAL = "epoch={epoch}-step={step}"


def checked_filename(filename: str) -> str:
    """The name of the best checkpoint, without its suffix.

    Args:
        filename: `checkpoint.filename`, which may contain metrics.

    Raises:
        UserError: It is a path, or the name of another file of a run.
    """
    plain = re.sub(r"{.*?}", "", filename)
    if "/" in plain or "\\" in plain or not filename:
        raise UserError(
            f"checkpoint.filename is {filename!r}, which is not a file name; give the folder with checkpoint.dirpath"
        )
    if filename in RESERVED and filename != BEST:
        raise UserError(f"checkpoint.filename is {filename}, the name of the checkpoint to resume from; choose another")
    return filename


def check_neighbors(trainer: pl.Trainer, best: ModelCheckpoint) -> None:
    """Checks that no checkpoint callback of the user writes over files of a run.

    Args:
        trainer: The Trainer, before training.
        best: The callback that keeps the best checkpoint.

    Raises:
        UserError: One would.
    """
    folders = {None, best.dirpath, str(Path(trainer.log_dir or ".").resolve() / "checkpoints")}
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, ModelCheckpoint) and callback is not best and callback.dirpath in folders:
            _check_neighbor(callback)


def check_unused(dirpath: str | Path | None) -> None:
    """Checks that the folder of a new run does not have the best checkpoint of another one.

    Args:
        dirpath: `checkpoint.dirpath`.

    Raises:
        UserError: It does.
    """
    if dirpath and (Path(dirpath) / f"{BEST}.ckpt").is_file():
        raise UserError(
            f"checkpoint.dirpath {dirpath} contains {BEST}.ckpt of another run, which this one would replace; "
            "give another folder, or move that file"
        )


def _check_neighbor(callback: ModelCheckpoint) -> None:
    last = callback.CHECKPOINT_NAME_LAST if callback.save_last else None
    taken = next((name for name in (callback.filename, last) if name in RESERVED), None)
    if taken:
        how = "leave out its save_last, because a run keeps one, or give it" if taken == last else "give it"
        raise UserError(
            f"the {type(callback).__name__} in trainer.callbacks would write over the run's own {taken}.ckpt; {how} a "
            "filename or a dirpath of its own"
        )
