"""Which checkpoints a run keeps: the best one, small, and the last one, from which it can go on."""

import time
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

BEST = "best"


class BestCheckpoint(ModelCheckpoint):
    """Keeps the checkpoint with the best validation score: weights and settings, without the optimizer's state.

    It remembers its files by name, so that the run's folder can be moved.

    Args:
        monitor: The metric that decides.
        mode: Whether a larger (`max`) or a smaller (`min`) value is better.
        save_top_k: How many are kept; 1 keeps best.ckpt.
        dirpath: The folder; by default `checkpoints` in the run folder.
        filename: The name without suffix; with several, put metrics in it, as in `{epoch}-{val/macro_f1:.3f}`.
    """

    def __init__(
        self,
        monitor: str = "val/macro_f1",
        mode: Literal["min", "max"] = "max",
        save_top_k: int = 1,
        dirpath: str | None = None,
        filename: str = BEST,
    ) -> None:
        super().__init__(
            monitor=monitor,
            mode=mode,
            save_top_k=save_top_k,
            dirpath=dirpath,
            filename=filename,
            save_weights_only=True,
            save_on_train_epoch_end=False,  # max_steps may leave an epoch without a validation
            auto_insert_metric_name=False,
            enable_version_counter=save_top_k != 1,
        )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keeps the weights of a run that ends before its first validation."""
        if self.best_model_path or not self.dirpath or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        self.best_model_path = str(Path(self.dirpath) / f"{BEST}.ckpt")
        trainer.save_checkpoint(self.best_model_path, weights_only=True)

    def state_dict(self) -> dict[str, Any]:
        """The state, with file names in place of paths."""
        state = super().state_dict()
        state["dirpath"] = ""
        for key in ("best_model_path", "kth_best_model_path", "last_model_path"):
            state[key] = Path(state[key]).name
        state["best_k_models"] = {Path(path).name: score for path, score in state["best_k_models"].items()}
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Finds the files again in the folder of the run that goes on.

        Args:
            state_dict: What `state_dict` gave.
        """
        folder = Path(self.dirpath or "")
        state = {**state_dict, "dirpath": self.dirpath}
        for key in ("best_model_path", "kth_best_model_path", "last_model_path"):
            state[key] = str(folder / state[key]) if state[key] else ""
        state["best_k_models"] = {str(folder / name): score for name, score in state["best_k_models"].items()}
        if state["best_model_path"] and not Path(state["best_model_path"]).is_file():
            return  # the run goes on in another folder, where its best checkpoint has still to be made
        super().load_state_dict(state)


class LastCheckpoint(Checkpoint):
    """Keeps all that is needed to go on, in last.ckpt: weights, the optimizer's state, and the place in the data.

    It is written after every epoch, when its best score and the patience are known, and every few minutes in between.

    Args:
        every_minutes: How much work a crash may cost.
    """

    def __init__(self, every_minutes: float = 10.0) -> None:
        self.every_minutes = every_minutes
        self._saved = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self._saved = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves when it is time."""
        due = time.monotonic() - self._saved >= 60 * self.every_minutes
        if trainer.strategy.broadcast(due):
            self.save(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves."""
        self.save(trainer)

    def save(self, trainer: pl.Trainer) -> None:
        """Saves, between two steps of the optimizer or at the end of an epoch.

        Args:
            trainer: The Trainer.
        """
        if trainer.fast_dev_run or not trainer.log_dir:  # type: ignore[attr-defined]
            return
        trainer.save_checkpoint(Path(trainer.log_dir) / "checkpoints" / "last.ckpt")
        self._saved = time.monotonic()
