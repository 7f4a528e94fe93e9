"""The checkpoint of a run that is used: the best one, without what training alone needs."""

import copy
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint

from emotion_lit import missing, processes
from emotion_lit.callbacks.finite import check_weights
from emotion_lit.console import say
from emotion_lit.errors import UserError
from emotion_lit.model.checkpoint import check_whole, find_checkpoint
from emotion_lit.model.checkpoint_contents import check_name
from emotion_lit.model.classifier import EmotionClassifier
from emotion_lit.model.metrics import default_monitor

BEST = "best"
# What `ModelCheckpoint` knows about the checkpoints that it has kept.
STATE = (
    *("best_k_models", "best_model_path", "best_model_score", "current_score"),
    *("kth_best_model_path", "kth_value", "last_model_path"),
)


class BestCheckpoint(ModelCheckpoint):
    """Keeps the checkpoint with the best validation score: weights and settings, without the optimizer's state.

    It remembers its files by name, so that the run's folder can be moved.

    Args:
        monitor: The metric that decides; by default `val/macro_f1`, and with several labels a text
            `val/macro_average_precision`, which moves before thresholds are chosen.
        mode: Whether a larger (`max`) or a smaller (`min`) value is better.
        save_top_k: How many are kept; 1 keeps best.ckpt.
        dirpath: The folder; by default `checkpoints` in the run folder.
        filename: The name without suffix; with several, put metrics in it, as in `{epoch}-{val/macro_f1:.3f}`.
    """

    def __init__(
        self,
        monitor: str | None = None,
        mode: Literal["min", "max"] = "max",
        save_top_k: int = 1,
        dirpath: str | None = None,
        filename: str = BEST,
    ) -> None:
        super().__init__(
            monitor=monitor or default_monitor(multi_label=False),
            mode=mode,
            save_top_k=save_top_k,
            dirpath=dirpath,
            filename=filename,
            save_weights_only=True,
            save_on_train_epoch_end=False,  # max_steps may leave an epoch without a validation
            auto_insert_metric_name=False,
            enable_version_counter=save_top_k != 1,
        )
        self._chosen = monitor is not None
        self._refused = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Takes the metric that suits the labels, unless one was chosen."""
        if not self._chosen and isinstance(pl_module, EmotionClassifier):
            self.monitor = default_monitor(pl_module.multi_label)
        super().setup(trainer, pl_module, stage)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves what is better than all before; where it cannot be written, the one before stays the best."""
        before = {name: copy.copy(getattr(self, name)) for name in STATE}
        self._refused = False
        super().on_validation_end(trainer, pl_module)
        if trainer.world_size > 1:
            self._refused = any(processes.gathered(self._refused))
        if self._refused:
            vars(self).update(before)

    def _save_checkpoint(self, trainer: pl.Trainer, filepath: str) -> None:
        super()._save_checkpoint(trainer, filepath)
        self._refused = missing.is_missing(Path(filepath).name)

    def _remove_checkpoint(self, trainer: pl.Trainer, filepath: str) -> None:
        if not self._refused:
            super()._remove_checkpoint(trainer, filepath)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keeps the weights of a run that ends before its first validation."""
        self.ensure(trainer)

    def ensure(self, trainer: pl.Trainer) -> None:
        """Keeps the weights as they are, where there are no better ones.

        Args:
            trainer: The Trainer, at the end of training.
        """
        if self.best_model_path or not self.dirpath or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        with processes.together():
            check_weights(trainer)
        path = str(Path(self.dirpath) / f"{BEST}.ckpt")
        trainer.save_checkpoint(path, weights_only=True)
        if processes.first(Path(path).is_file):
            self.best_model_path = path

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
        for name in [state["best_model_path"], state["kth_best_model_path"], *state["best_k_models"]]:
            if name:
                check_name(name)  # what is not among the best any more is removed
        for key in ("best_model_path", "kth_best_model_path", "last_model_path"):
            state[key] = str(folder / state[key]) if state[key] else ""
        state["best_k_models"] = {str(folder / name): score for name, score in state["best_k_models"].items()}
        if state["best_model_path"]:
            best = Path(state["best_model_path"])
            try:
                check_whole(find_checkpoint(best))
            except UserError:
                how = "damaged" if best.is_file() else "missing"
                say(f"{best} is {how}; the best of what is trained from here on takes its place", wrap=False)
                return
        super().load_state_dict(state)
