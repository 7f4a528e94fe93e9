"""EmotionDataModule: from a dataset's name to padded batches."""

import contextlib
from collections.abc import Mapping
from dataclasses import fields, replace
from functools import partial
from typing import Any

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerBase

from emotion_lit.data import loaders
from emotion_lit.data.batching import Batch
from emotion_lit.data.budgets import TokenBudget
from emotion_lit.data.corpus import SIZE_KEYS, Corpus
from emotion_lit.data.rows import SPLITS, Rows
from emotion_lit.data.settings import DataSettings, OnBadRow, Size, is_same_dataset
from emotion_lit.data.streaming import TextStream
from emotion_lit.data.tokenization import check_max_length
from emotion_lit.data.tokenized_corpus import TokenizedCorpus
from emotion_lit.data.tokenized_dataset import TokenizedDataset
from emotion_lit.errors import UserError, unknown
from emotion_lit.model.backbone import load_tokenizer
from emotion_lit.model.positions import longest_text
from emotion_lit.training.evaluation_budget import evaluation_budget, use_shapes
from emotion_lit.training.settings.attributes import documented_by, settings_as_attributes
from emotion_lit.utils import distributed
from emotion_lit.utils.console import say

# The Trainer's settings that limit an evaluation.
LIMITS = {"validation": "limit_val_batches", "test": "limit_test_batches"}
# The splits that each stage of Lightning reads; `fit` evaluates validation and test before and after training.
STAGE_SPLITS = {"fit": SPLITS, "validate": ("validation",), "test": ("test",), "predict": ()}

# Settings that the rows and their tokens do not depend on.
OF_BATCHES = ("batch_size", "tokens_per_batch", "num_workers")


@documented_by(DataSettings)
@settings_as_attributes(DataSettings)
class EmotionDataModule(pl.LightningDataModule):
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
        super().__init__()
        self.settings = DataSettings(**{one.name: given[one.name] for one in fields(DataSettings) if one.name in given})
        self.predict_rows: int | None = None
        self._other_data: str | None = None  # the split, if the model was trained on other data
        self._tokenized: TokenizedCorpus | None = None
        self._tokenizer: PreTrainedTokenizerBase | None = None
        self._stream: TextStream | None = None

    def before_change(self, name: str) -> None:
        """Forgets what was read with the earlier value of a setting that is about to be assigned."""
        if name not in OF_BATCHES:
            self._tokenized = None

    @property
    def tokenized(self) -> TokenizedCorpus:
        """The rows and their tokens, with the settings as they are now."""
        if self._tokenized is None:
            self._tokenized = TokenizedCorpus(self.settings, self._other_data)
        return self._tokenized

    @property
    def corpus(self) -> Corpus:
        """The rows after filtering, deduplication and sampling; they are read on first use."""
        return self.tokenized.corpus

    @property
    def label_names(self) -> list[str]:
        """The names of the classes, in the order of their ids. The data is read for them, unless `classes` is set."""
        return self.tokenized.label_names

    def rows(self, split: str) -> Rows:
        """The rows of ``train``, ``validation`` or ``test``, see `Corpus.rows`."""
        return self.corpus.rows(split)

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer of the model in training, else of the backbone."""
        if self._tokenizer is None:
            self._tokenizer = getattr(self._model, "tokenizer", None) or load_tokenizer(self.settings.backbone)
        return self._tokenizer

    @property
    def _model(self) -> pl.LightningModule | None:
        return self.trainer.lightning_module if self.trainer else None

    def prepare_data(self) -> None:
        """Downloads and tokenizes once on each machine; the other processes there find the tokens in the cache."""
        if self.trainer is not None and self.trainer.state.fn is not None:
            with contextlib.suppress(Exception):  # `setup` raises it again, and ends all processes with it
                self._prepare(self.trainer.state.fn.value)

    def setup(self, stage: str) -> None:
        """Reads, samples and tokenizes the data of a stage; raises `UserError` if it cannot be read."""
        with distributed.fail_together():
            self._prepare(stage)
        if stage == "predict":
            self._stream = loaders.prediction_stream(
                self.settings, self.tokenizer, pin_memory=self._device.type == "cuda"
            )
            self.predict_rows = self._stream.survey()

    def _prepare(self, stage: str) -> None:
        if stage not in STAGE_SPLITS:
            raise unknown("the stage", str(stage), STAGE_SPLITS)
        longest = getattr(self._model, "longest_text", None) or partial(longest_text, self.settings.backbone, None)
        check_max_length(self.settings.max_length, self.tokenizer, longest(self.settings.max_length))
        if stage in ("validate", "test"):
            self._choose_rows(STAGE_SPLITS[stage][0])
        for split in STAGE_SPLITS[stage]:
            if split in self.tokenized.datasets:
                continue
            self.tokenized.tokenize(split, self.tokenizer)
            rows, available = len(self.rows(split)), self.corpus.available[split]
            if stage != "fit" and rows < available:
                say(f"{rows:,} of {available:,} rows of {split} are evaluated (data.{SIZE_KEYS[split]})")
        loaders.share_lengths([self.prepared(one) for one in STAGE_SPLITS[stage]], self.settings, self._device)

    def _choose_rows(self, split: str) -> None:
        """Chooses all rows of a split, and the classes of the model, if it was trained on other data."""
        trained_on = getattr(self._model, "trained_on", None)
        if self._model is None or (trained_on is not None and is_same_dataset(self.settings.saved, trained_on)):
            return
        if self._other_data != split:
            classes = self.settings.classes or getattr(self._model, "labels", None)
            self.settings = replace(self.settings, classes=classes)
            self._other_data, self._tokenized = split, None

    def check_not_trained_on(self, trained_on: Mapping[str, Any]) -> None:
        """Raises `UserError` if all rows were chosen for the evaluation, but a model was trained on some of them."""
        if self._other_data and is_same_dataset(self.settings.saved, trained_on):
            raise UserError(
                f"the model of this checkpoint was trained on {self.settings.dataset}; load it with "
                "EmotionClassifier.load_from_checkpoint, so that only held-out rows are evaluated"
            )

    def prepared(self, split: str) -> TokenizedDataset:
        """The tokenized rows of a split; raises `UserError` before `setup`."""
        return self.tokenized.prepared(split)

    @property
    def _device(self) -> torch.device:
        return torch.device("cpu") if self.trainer is None else self.trainer.strategy.root_device

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled batches of the training rows; in a resumed epoch, the remaining ones."""
        loader = loaders.train_loader(self.prepared("train"), self.settings, self._device)
        trainer = self.trainer
        if trainer is not None:  # which may have ended its training
            progress = trainer.fit_loop.epoch_loop.batch_progress
            loader.batches.place = lambda: progress.current.completed if trainer.training else 0
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

    def describe(self) -> dict[str, Any]:
        """Rows per split and class, removed duplicates, and warnings, for the run summary and the report."""
        return self.corpus.describe(list(self.tokenized.datasets) or list(self.corpus.splits))
