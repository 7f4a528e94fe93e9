"""EmotionDataModule: from a dataset's name to padded batches."""

from dataclasses import fields
from typing import Any

from torch.utils.data import DataLoader

from emotion_lit.data import loaders
from emotion_lit.data.batching import Batch
from emotion_lit.data.budgets import TokenBudget
from emotion_lit.data.settings import DataSettings, OnBadRow
from emotion_lit.data.sizes import Size
from emotion_lit.data.streaming import TextStream
from emotion_lit.errors import UserError
from emotion_lit.training.evaluation_budget import evaluation_budget, use_shapes
from emotion_lit.training.settings.attributes import documented_by, settings_as_attributes
from emotion_lit.training.splits_module import SplitsModule

# The Trainer's settings that limit an evaluation.
LIMITS = {"validation": "limit_val_batches", "test": "limit_test_batches"}


@documented_by(DataSettings)
@settings_as_attributes(DataSettings)
class EmotionDataModule(SplitsModule):
    """Labeled texts for training and evaluation, and unlabeled texts for prediction, in batches of similar length."""

    def __init__(
        self,
        dataset: str = DataSettings.dataset,
        backbone: str = DataSettings.backbone,
        text_column: str | None = None,
        label_column: str | None = None,
        labels: list[str] | None = None,
        classes: list[str] | None = None,
        multi_label: bool = False,
        train_size: Size = None,
        val_size: Size = None,
        test_size: Size = None,
        exclude_labels: list[str] | None = None,
        sources: list[str] | None = None,
        deduplicate: bool = True,
        max_length: int = DataSettings.max_length,
        tokens_per_batch: TokenBudget = DataSettings.tokens_per_batch,
        batch_size: int | None = None,
        pad_to_multiple_of: int = 1,
        seed: int = DataSettings.seed,
        num_workers: int | None = None,
        cache_dir: str | None = None,
        separator: str | None = None,
        encoding: str | None = None,
        header: bool | None = None,
        predict_path: str | None = None,
        id_column: str = DataSettings.id_column,
        keep_columns: list[str] | None = None,
        on_error: OnBadRow = "stop",
        label_columns: list[str] | None = None,
        label_separator: str | None = None,
        config: str | None = None,
        revision: str | None = None,
        unknown_labels: OnBadRow = "stop",
    ) -> None:
        given = {name: value for name, value in locals().items() if value is not None}
        names = (one.name for one in fields(DataSettings))
        super().__init__(DataSettings(**{name: given[name] for name in names if name in given}))
        self.predict_rows: int | None = None
        self._stream: TextStream | None = None

    def setup(self, stage: str) -> None:
        """Reads, samples and tokenizes the data of a stage; raises `UserError` if it cannot be read."""
        super().setup(stage)
        if stage == "predict":
            self._stream = loaders.prediction_stream(
                self.settings, self.tokenizer, pin_memory=self._device.type == "cuda"
            )
            self.predict_rows = self._stream.survey()

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled batches of the training rows; in a resumed epoch, the remaining ones."""
        loader = loaders.train_loader(self.prepared("train"), self.settings, self._device)
        trainer = self.trainer
        if trainer is not None:  # which may have ended its training
            progress = trainer.fit_loop.epoch_loop.batch_progress
            loader.batches.begin_at(lambda: progress.current.completed if trainer.training else 0)
        return loader

    def val_dataloader(self) -> DataLoader[Batch]:
        """Batches of the validation rows, in order of length."""
        return self.evaluation_dataloader("validation")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Batches of the test rows, in order of length."""
        return self.evaluation_dataloader("test")

    def evaluation_dataloader(
        self, split: str, whole: bool = False, share: tuple[int, int] | None = None
    ) -> DataLoader[Batch]:
        """Batches of the rows of a split, in order of length, shared out among the processes.

        Args:
            split: A split that `setup` has prepared.
            whole: Whether all batches will be used, whatever the Trainer's limits are.
            share: The number of this process, and of all processes, if not all processes of the run take part.
        """
        limit = 1.0
        if self.trainer is not None and not whole:
            limit = getattr(self.trainer, "overfit_batches", 0) or getattr(self.trainer, LIMITS[split])
        spread = limit != 1.0 or isinstance(limit, int)
        dataset = self.prepared(split)
        budget = evaluation_budget(self.trainer, dataset, self.settings)
        return loaders.evaluation_loader(dataset, self.settings, self._device, spread, share, budget)

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Batches of the texts to label, read as a stream."""
        use_shapes(self.trainer, self.stream, self.settings)
        return loaders.prediction_loader(self.stream)

    @property
    def stream(self) -> TextStream:
        """The texts to label; raises `UserError` before `setup`."""
        if self._stream is None:
            raise UserError("the texts to label are not opened yet; call data.setup('predict') first")
        return self._stream

    def state_dict(self) -> dict[str, str]:
        """Hashes of the rows and batches of each split, which the callback `Resumption` compares."""
        return loaders.loader_state(self.tokenized.datasets, self.settings, self._device.type)

    @property
    def rows_to_label(self) -> int | None:
        """The number of texts that `predict` labels, of a shard if it labels one; None if it is not known."""
        return self._stream.rows if self._stream else None

    @property
    def rows_done(self) -> int:
        """The number of texts that an earlier run has labeled, after which this one continues."""
        return self._stream.rows_done if self._stream else 0

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles have neither the Trainer nor the open texts, which belong to a process."""
        return {**vars(self), "trainer": None, "_stream": None}
