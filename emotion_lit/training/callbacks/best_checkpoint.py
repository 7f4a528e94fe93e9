"""The checkpoint of a run that is used: the best one, without what training alone needs."""

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
from emotion_lit.training.metrics import default_monitor
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.training.monitors import Mode, better
from emotion_lit.training.weight_averaging import averages
from emotion_lit.utils import distributed, nonfatal
from emotion_lit.utils.console import say
from emotion_lit.utils.files import link
from emotion_lit.utils.paths import expanded

# What `ModelCheckpoint` knows about the checkpoints that it has kept.
STATE = (
    *("best_k_models", "best_model_path", "best_model_score", "current_score"),
    *("kth_best_model_path", "kth_value", "last_model_path"),
)


class BestCheckpoint(ModelCheckpoint):
    """Keeps the checkpoint with the best validation score: weights and settings, without the optimizer's state.

    The best one is best.ckpt, also where it has another name beside, or others are kept too. Files are remembered by
    name, so that the run's folder can be moved.

    Args:
        monitor: The metric that decides; by default `val/macro_f1`, and with several labels a text
            `val/macro_average_precision`, which moves before thresholds are chosen.
        mode: Whether a larger (`max`) or a smaller (`min`) value is better; by default what suits the metric.
        save_top_k: How many are kept; -1 keeps all.
        dirpath: The folder; by default `checkpoints` in the run folder.
        filename: The name without suffix, in which metrics may stand, as in `{epoch}-{val/macro_f1:.3f}`; best.ckpt is
            there in any case.

    Raises:
        UserError: None would be kept, or the name is not one.
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
        watched = monitor or default_monitor(multi_label=False)
        filename = checked_filename(filename.removesuffix(".ckpt"))
        if save_top_k < -1 or save_top_k == 0:
            raise UserError(
                f"checkpoint.save_top_k is {save_top_k}, and nothing would be kept to predict with; give how many to "
                "keep, at least 1, or -1 for all"
            )
        super().__init__(
            monitor=watched,
            mode=mode or better(watched),
            save_top_k=save_top_k,
            dirpath=expanded(dirpath),
            filename=SEVERAL if filename == BEST and save_top_k != 1 else filename,
            save_weights_only=True,
            save_on_train_epoch_end=False,  # max_steps may leave an epoch without a validation
            auto_insert_metric_name=False,
            enable_version_counter=save_top_k != 1,
        )
        self._chosen = monitor is not None
        self._refused = False
        self._begun: int | None = None
        self._validated: Tensor | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Takes the metric that suits the labels, unless one was chosen, and checks that its files are its own."""
        if not self._chosen and isinstance(pl_module, EmotionClassifier):
            self.monitor = default_monitor(pl_module.multi_label)
        if stage == "fit":
            check_neighbors(trainer, self)
        super().setup(trainer, pl_module, stage)

    @property
    def best_file(self) -> Path | None:
        """The best checkpoint so far, under the name that it has in every run."""
        return Path(self.dirpath or "") / f"{BEST}.ckpt" if self.best_model_path else None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Notes where the training begins."""
        super().on_train_start(trainer, pl_module)
        self._begun = trainer.global_step

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        """Notes which weights are validated."""
        if batch_idx == 0:
            self._validated = _sums(pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves what is better than all before; where it cannot be written, the one before stays the best."""
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
        """Gives the best one its second name."""
        if trainer.is_global_zero and self.best_file and self.best_file != Path(self.best_model_path):
            with nonfatal.suppress(self.best_file.name):
                link(Path(self.best_model_path), self.best_file)
                nonfatal.resolve(self.best_file.name)

    def update_hyperparameters(self, trainer: pl.Trainer, model: dict[str, Any]) -> None:
        """Changes settings of the model in the best checkpoint.

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
                "the weights that were validated are others than those after it, so that no checkpoint would hold what "
                "was scored; a callback that exchanges them has to be Lightning's WeightAveraging or EMAWeightAveraging"
            )
        super()._save_checkpoint(trainer, filepath)
        self._refused = nonfatal.is_recorded(Path(filepath).name)

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
        path = str(Path(self.dirpath) / f"{BEST}.ckpt")
        if self._begun in (None, trainer.global_step) and distributed.on_rank_zero(lambda: _is_whole(path)):
            self.best_model_path = path  # nothing was trained that could be better
            return
        with distributed.fail_together():
            check_weights(trainer)
        trainer.save_checkpoint(path, weights_only=True)
        if distributed.on_rank_zero(Path(path).is_file):
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
        self._keep_few(state)
        if state["best_model_path"]:
            best = Path(state["best_model_path"])
            if not _is_whole(best):
                how = "damaged" if best.is_file() else "missing"
                say(f"{best} is {how}; the best of what is trained from here on takes its place", wrap=False)
                return
        super().load_state_dict(state)

    def _keep_few(self, state: dict[str, Any]) -> None:
        """Leaves of what was kept as many as are to be kept from now on; the best one gets a name of its own."""
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
    """The callback that keeps the best checkpoint, whatever others a user has added.

    Args:
        trainer: The Trainer.
    """
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return next((one for one in callbacks if isinstance(one, BestCheckpoint)), None)


def _sums(model: pl.LightningModule) -> Tensor:
    """By which weights that train are told from others."""
    return torch.stack([weight.detach().float().sum() for weight in model.parameters() if weight.requires_grad])


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
