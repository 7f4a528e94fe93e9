"""Saves best.ckpt, the checkpoint with the best validation score, without the state of the optimizer."""

import copy
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from emotion_lit.errors import UserError
from emotion_lit.model.checkpoint import check_whole, find_checkpoint, update_hyperparameters
from emotion_lit.model.checkpoint.validation import check_name
from emotion_lit.training.callbacks.checkpoint_names import BEST, SEVERAL, check_neighbors, checked_filename
from emotion_lit.training.callbacks.finite import check_weights
from emotion_lit.training.fsdp import local_shard
from emotion_lit.training.metrics import default_monitor
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.training.monitors import Mode, monitor_mode
from emotion_lit.training.weight_averaging import averages
from emotion_lit.utils import distributed, nonfatal
from emotion_lit.utils.console import say
from emotion_lit.utils.files import link
from emotion_lit.utils.paths import expanded

# The attributes of `ModelCheckpoint` about saved checkpoints.
STATE = (
    *("best_k_models", "best_model_path", "best_model_score", "current_score"),
    *("kth_best_model_path", "kth_value", "last_model_path"),
)


class BestCheckpoint(ModelCheckpoint):
    """Keeps the checkpoint with the best validation score: weights and settings, without the optimizer's state.

    The best checkpoint is always best.ckpt, also if it has a second name or other checkpoints are kept. The state
    stores file names instead of paths, so that the run folder can be moved.

    Args:
        monitor: The metric that selects the best checkpoint. By default `val/macro_f1`, and for multi-label data
            `val/macro_average_precision`, which does not depend on thresholds.
        mode: Whether a larger (`max`) or a smaller (`min`) value is better. By default it depends on the metric.
        save_top_k: The number of best checkpoints to keep; -1 keeps all.
        dirpath: The folder of the checkpoints. By default `checkpoints` in the run folder.
        filename: The file name without suffix; it can contain metrics, as in `{epoch}-{val/macro_f1:.3f}`. best.ckpt
            is written in any case.

    Raises:
        UserError: No checkpoint would be kept, or the file name is invalid.
    """

    block = "checkpoint"

    def __init__(
        self,
        monitor: str | None = None,
        mode: Mode | None = None,
        save_top_k: int = 1,
        dirpath: str | None = None,
        filename: str = BEST,
    ) -> None:
        metric = monitor or default_monitor(multi_label=False)
        filename = checked_filename(filename.removesuffix(".ckpt"))
        if save_top_k < -1 or save_top_k == 0:
            raise UserError(
                f"checkpoint.save_top_k is {save_top_k}, so no checkpoint would be kept; give at least 1, or -1 for all"
            )
        super().__init__(
            monitor=metric,
            mode=mode or monitor_mode(metric),
            save_top_k=save_top_k,
            dirpath=expanded(dirpath),
            filename=SEVERAL if filename == BEST and save_top_k != 1 else filename,
            save_weights_only=True,
            save_on_train_epoch_end=False,  # with max_steps, an epoch may end without validation
            auto_insert_metric_name=False,
            enable_version_counter=save_top_k != 1,
        )
        self._chosen = monitor is not None
        self._trains = True
        self._refused = False
        self._first_step: int | None = None
        self._validated: Tensor | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Sets the default metric for the labels, and checks that no other callback writes to the same files."""
        if not self._chosen and isinstance(pl_module, EmotionClassifier):
            self.monitor = default_monitor(pl_module.multi_label)
        self._trains = stage == "fit"
        if self._trains:
            check_neighbors(trainer, self)
        super().setup(trainer, pl_module, stage)

    @property
    def best_file(self) -> Path | None:
        """The path of best.ckpt, if there is a best checkpoint yet."""
        return Path(self.dirpath or "") / f"{BEST}.ckpt" if self.best_model_path else None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stores the step at which training starts."""
        super().on_train_start(trainer, pl_module)
        self._first_step = trainer.global_step

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Stores a fingerprint of the weights that are validated."""
        if batch_idx == 0:
            self._validated = _sums(pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves a new best checkpoint; if it cannot be written, the previous one stays the best."""
        before = {name: copy.copy(getattr(self, name)) for name in STATE}
        self._refused = False
        super().on_validation_end(trainer, pl_module)
        if trainer.world_size > 1:
            self._refused = any(distributed.all_gather(self._refused))
        if self._refused:
            vars(self).update(before)
        elif (self.best_model_path, self.best_model_score) != (before["best_model_path"], before["best_model_score"]):
            self._name_best(trainer)

    def _name_best(self, trainer: pl.Trainer) -> None:
        """Links the best checkpoint as best.ckpt."""
        if trainer.is_global_zero and self.best_file and self.best_file != Path(self.best_model_path):
            with nonfatal.suppress(self.best_file.name):
                link(Path(self.best_model_path), self.best_file)
                nonfatal.resolve(self.best_file.name)

    def update_hyperparameters(self, trainer: pl.Trainer, model: dict[str, Any]) -> None:
        """Changes model settings in the best checkpoint.

        Args:
            trainer: The Trainer.
            model: The settings to change.
        """
        update_hyperparameters(Path(self.best_model_path), model)
        self._name_best(trainer)

    def _save_checkpoint(self, trainer: pl.Trainer, filepath: str) -> None:
        now = _sums(trainer.lightning_module)
        if self._validated is not None and not averages(trainer) and not torch.equal(self._validated, now):
            raise UserError(
                "a callback changed the weights between validation and saving, so no checkpoint would contain what "
                "was validated; only Lightning's WeightAveraging and EMAWeightAveraging may do so"
            )
        super()._save_checkpoint(trainer, filepath)
        self._refused = nonfatal.is_recorded(Path(filepath).name)

    def _remove_checkpoint(self, trainer: pl.Trainer, filepath: str) -> None:
        if not self._refused:
            super()._remove_checkpoint(trainer, filepath)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves the weights of a run that ends before its first validation."""
        self.ensure(trainer)

    def ensure(self, trainer: pl.Trainer) -> None:
        """Saves the current weights if there is no best checkpoint yet.

        Args:
            trainer: The Trainer, at the end of training.
        """
        if self.best_model_path or not self.dirpath or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        path = str(Path(self.dirpath) / f"{BEST}.ckpt")
        if self._first_step in (None, trainer.global_step) and distributed.on_rank_zero(lambda: _is_whole(path)):
            self.best_model_path = path  # nothing was trained since
            return
        with distributed.fail_together():
            check_weights(trainer)
        trainer.save_checkpoint(path, weights_only=True)
        if distributed.on_rank_zero(Path(path).is_file):
            self.best_model_path = path

    def state_dict(self) -> dict[str, Any]:
        """The state of the callback, with file names instead of paths."""
        state = super().state_dict()
        state["dirpath"] = ""
        for key in ("best_model_path", "kth_best_model_path", "last_model_path"):
            state[key] = Path(state[key]).name
        state["best_k_models"] = {Path(path).name: score for path, score in state["best_k_models"].items()}
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the state, with the file names in the folder of this run.

        Args:
            state_dict: The result of `state_dict`.
        """
        folder = Path(self.dirpath or "")
        state = {**state_dict, "dirpath": self.dirpath}
        for name in [state["best_model_path"], state["kth_best_model_path"], *state["best_k_models"]]:
            if name:
                check_name(name)  # files that are no longer among the best are deleted, so names must be safe
        for key in ("best_model_path", "kth_best_model_path", "last_model_path"):
            state[key] = str(folder / state[key]) if state[key] else ""
        state["best_k_models"] = {str(folder / name): score for name, score in state["best_k_models"].items()}
        self._keep_few(state)
        if state["best_model_path"]:
            best = Path(state["best_model_path"])
            if not _is_whole(best):
                how = "damaged" if best.is_file() else "missing"
                if self._trains:
                    say(f"{best} is {how}; it will be replaced by the best checkpoint from here on", wrap=False)
                return
        super().load_state_dict(state)

    def _keep_few(self, state: dict[str, Any]) -> None:
        """Reduces the state to `save_top_k` checkpoints; best.ckpt gets a second name if `filename` differs from it."""
        kept, shared = state["best_k_models"], str(Path(self.dirpath or "") / f"{BEST}.ckpt")
        if self.filename != BEST and shared in kept and Path(shared).is_file():
            own = str(Path(shared).with_name(f"{BEST}-before.ckpt"))
            if distributed.on_rank_zero(lambda: _is_linked(Path(shared), Path(own))):
                kept = {own if path == shared else path: score for path, score in kept.items()}
                state["best_model_path"] = own if state["best_model_path"] == shared else state["best_model_path"]
        ranked = sorted(kept, key=lambda path: float(kept[path]), reverse=self.mode == "max")
        ranked = ranked if self.save_top_k == -1 else ranked[: self.save_top_k]
        state["best_k_models"] = {path: kept[path] for path in ranked}
        if ranked:
            state |= {"kth_best_model_path": ranked[-1], "kth_value": kept[ranked[-1]]}


def best_checkpoint(trainer: pl.Trainer) -> BestCheckpoint | None:
    """The Trainer's `BestCheckpoint`, which may be one of several checkpoint callbacks.

    Args:
        trainer: The Trainer.
    """
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return next((one for one in callbacks if isinstance(one, BestCheckpoint)), None)


def _sums(model: pl.LightningModule) -> Tensor:
    """The sums of all trainable weights, as a fingerprint."""
    return torch.stack(
        [local_shard(weight.detach()).float().sum() for weight in model.parameters() if weight.requires_grad]
    )


def _is_whole(path: str | Path) -> bool:
    try:
        check_whole(find_checkpoint(path))
    except UserError:
        return False
    return True


def _is_linked(source: Path, target: Path) -> bool:
    try:
        link(source, target)
    except OSError:
        return False
    return True
