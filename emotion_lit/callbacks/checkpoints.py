"""Which checkpoints a run keeps: the best one, small, and the last one, from which it can go on."""

from pathlib import Path
from typing import Any, Literal

from lightning.pytorch.callbacks import ModelCheckpoint


class PortableCheckpoint(ModelCheckpoint):
    """A ModelCheckpoint that remembers its files by name, so that the run's folder can be moved."""

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


class BestCheckpoint(PortableCheckpoint):
    """Keeps the checkpoint with the best validation score: weights and settings, without the optimizer's state.

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
        filename: str = "best",
    ) -> None:
        super().__init__(
            monitor=monitor,
            mode=mode,
            save_top_k=save_top_k,
            dirpath=dirpath,
            filename=filename,
            save_weights_only=True,
            auto_insert_metric_name=False,
            enable_version_counter=save_top_k != 1,
        )


class LastCheckpoint(PortableCheckpoint):
    """Keeps all that is needed to go on: weights, the optimizer's state, and the place in the data.

    Args:
        every_n_epochs: How often.
        dirpath: The folder; by default `checkpoints` in the run folder.
    """

    def __init__(self, every_n_epochs: int = 1, dirpath: str | None = None) -> None:
        super().__init__(
            filename="last",
            dirpath=dirpath,
            save_top_k=1,
            every_n_epochs=every_n_epochs,
            # After the epoch's validation, so that the best score and the patience are in it.
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        )
