"""Returns predictions in the order of the texts; batches come by length."""

from typing import Any

import lightning.pytorch as pl

from emotion_lit.data.batching import Batch
from emotion_lit.model.batches import put_in_order, rows_of


class PredictionOrder(pl.Callback):
    """Sorts what `Trainer.predict` returns by the rows of the texts."""

    def __init__(self) -> None:
        self._rows: list[list[int] | None] = []  # of each batch

    def on_predict_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forgets the rows of an earlier prediction."""
        self._rows = []

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps the rows of a batch, if its predictions are returned."""
        if trainer.predict_loop.return_predictions:
            self._rows.append(rows_of(batch))

    def on_predict_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Sorts the predictions."""
        put_in_order(trainer.predict_loop.predictions, self._rows)
