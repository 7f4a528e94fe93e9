"""Returns predictions in the order of the texts; batches come by length."""

from typing import Any

import lightning.pytorch as pl

from emotion_lit.data.batching import Batch
from emotion_lit.model.batches import put_in_order, rows_of


class PredictionOrder(pl.LightningModule):
    """Sorts what `Trainer.predict` returns by the rows of the texts.

    This is part of the model and not a callback, because a subclass may have its own `configure_callbacks`.
    """

    def on_predict_epoch_start(self) -> None:
        """Forgets the rows of an earlier prediction."""
        self._predicted: list[list[int] | None] = []  # the rows of each batch

    def on_predict_batch_end(self, outputs: Any, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Keeps the rows of a batch, if its predictions are returned."""
        if self.trainer.predict_loop.return_predictions:
            self._predicted.append(rows_of(batch))

    def on_predict_epoch_end(self) -> None:
        """Sorts the predictions."""
        put_in_order(self.trainer.predict_loop.predictions, self._predicted)
