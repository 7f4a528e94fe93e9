"""SplitsModule: the labeled rows of the splits, sampled and tokenized."""

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import lightning.pytorch as pl
import torch
from transformers import PreTrainedTokenizerBase

from emotion_lit.data import loaders
from emotion_lit.data.corpus import SIZE_KEYS, Corpus
from emotion_lit.data.rows import SPLITS, Rows
from emotion_lit.data.settings import DataSettings, is_same_dataset
from emotion_lit.data.tokenization import check_max_length
from emotion_lit.data.tokenized_corpus import TokenizedCorpus
from emotion_lit.data.tokenized_dataset import TokenizedDataset
from emotion_lit.errors import UserError, unknown
from emotion_lit.model.backbone import load_tokenizer
from emotion_lit.model.positions import longest_text
from emotion_lit.utils import distributed
from emotion_lit.utils.console import say

# The splits that each stage of Lightning reads; `fit` evaluates validation and test before and after training.
STAGE_SPLITS = {"fit": SPLITS, "validate": ("validation",), "test": ("test",), "predict": ()}

# Settings that the rows and their tokens do not depend on.
OF_BATCHES = ("batch_size", "tokens_per_batch", "num_workers")


class SplitsModule(pl.LightningDataModule):
    """The part of `EmotionDataModule` that reads, samples and tokenizes; the other part makes batches.

    Args:
        settings: The settings of the data.
    """

    def __init__(self, settings: DataSettings) -> None:
        super().__init__()
        self.settings = settings
        self._other_data: str | None = None  # the split, if the model was trained on other data
        self._tokenized: TokenizedCorpus | None = None
        self._tokenizer: PreTrainedTokenizerBase | None = None

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

    def describe(self) -> dict[str, Any]:
        """Rows per split and class, removed duplicates, and warnings, for the run summary and the report."""
        return self.corpus.describe(list(self.tokenized.datasets) or list(self.corpus.splits))
