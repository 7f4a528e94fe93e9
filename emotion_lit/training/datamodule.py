"""EmotionDataModule: from a data set's name to padded batches."""

import contextlib
import hashlib
import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerBase

from emotion_lit.data import data_warnings as warnings
from emotion_lit.data import sampling
from emotion_lit.data.batching import Batch, BatchLoader, BatchSampler, LabelledTokens
from emotion_lit.data.downloads import hub_folder
from emotion_lit.data.formats.readers import TableFormat
from emotion_lit.data.formats.records import record_files
from emotion_lit.data.label_aggregation import merge_raters
from emotion_lit.data.labels.label_set import LabelSet
from emotion_lit.data.other_data import is_same_dataset, whole_split
from emotion_lit.data.padding import Padding
from emotion_lit.data.sampling import Size
from emotion_lit.data.sources import SPLITS, Rows, read_dataset
from emotion_lit.data.streaming import OnBadRow, TextStream
from emotion_lit.data.tokenization import cached_tokens
from emotion_lit.errors import UserError, unknown
from emotion_lit.model.backbone import load_tokenizer
from emotion_lit.model.positions import longest_text
from emotion_lit.utils import caches, distributed
from emotion_lit.utils.console import say
from emotion_lit.utils.paths import expanded

SIZE_KEYS = {"train": "train_size", "validation": "val_size", "test": "test_size"}
# Settings of the model, the machine or the command rather than of the data.
OF_THE_MOMENT = (
    *("backbone", "classes", "pad_to_multiple_of", "num_workers", "cache_dir"),
    *("predict_path", "id_column", "keep_columns", "unknown_labels"),
)
# Evaluation keeps nothing for a backward pass, so its batches may be larger, which spares the casting of weights.
EVALUATION = 4
# Less for prediction, which may be in single precision: on two cores it is fastest at 2,048 tokens.
PREDICTION = 2
# The Trainer's settings by which an evaluation is limited.
LIMITS = {"validation": "limit_val_batches", "test": "limit_test_batches"}
# Splits that each stage of Lightning reads; `fit` scores validation and test before and after.
STAGE_SPLITS = {"fit": SPLITS, "validate": ("validation",), "test": ("test",), "predict": ()}


class EmotionDataModule(pl.LightningDataModule):
    """Labelled texts, sampled and tokenized, in batches of like length; and unlabelled texts for prediction.

    Args:
        dataset: A Hub id, a folder in Hub layout, a folder of folders of classes, a file of rows (which `fit` splits
            80/10/10), or `sample`, the small data set that comes with this package.
        config: Which configuration, where a data set has several.
        revision: Which branch, tag or commit of a data set on the Hub; by default the newest.
        backbone: Whose tokenizer to use; on the command line it is that of the model.
        text_column: The column of texts. By default it is found by its name, such as `text`, `sentence` or `tweet`.
        label_column: The column of labels: names, ids, lists of these, or objects of an annotation tool. By default it
            is found by its name, such as `labels`, `label` or `emotion`.
        labels: The names of the classes in the order of their ids. By default they come from the data: names that
            differ in case and blanks alone are one class, and ids are those that occur.
        classes: The classes of a trained model, to which the data's are matched by name. By default those of the data.
        multi_label: Whether a text may have several classes. If not, a text with several trains on all of them evenly
            and is scored by the first.
        train_size: Training rows: a number, a share such as 0.02 or "2%", or all. Samples keep the classes' shares.
        val_size: Validation rows, likewise.
        test_size: Test rows, likewise.
        exclude_labels: Classes to leave out; [Neutral] gives the six-emotion task.
        sources: Keep only rows whose column `source` has one of these values.
        deduplicate: Remove from the training rows repeats, and texts that also stand in validation or test; and from
            the validation rows texts that also stand in test.
        max_length: Where texts are cut, in tokens.
        tokens_per_batch: The size of a batch in tokens, padding included.
        batch_size: A fixed number of rows a batch instead.
        pad_to_multiple_of: Texts are padded to a multiple of so many tokens; on the command line, 16 with
            `model.compile_encoder`.
        seed: Decides which rows are sampled, and their order.
        num_workers: Processes that prepare batches; by default none, because padding costs less than they do.
        cache_dir: Where tokens are kept. By default $EMOTION_LIT_CACHE, or a folder in the user's cache.
        separator: What stands between two columns of a `.csv`, `.tsv` or `.txt` file: a character, or `tab`, `comma`,
            `semicolon` or `bar`. By default it is found; a `.txt` file has no columns then.
        encoding: The encoding of files of text, such as cp1252. By default UTF-8, or UTF-16 where a file shows it.
        header: Whether the first line of a `.csv` or `.tsv` file names the columns. By default it is found.
        predict_path: What `predict` reads: a .csv, .tsv, .jsonl, .json, .parquet, .arrow or .txt file, also as .gz,
            .zst, .bz2, .xz or .zip, a folder of these, a data set on the Hub, or - for stdin.
        id_column: The column of ids that `predict` hands on; a row without one gets its number.
        keep_columns: Other columns that `predict` hands on.
        label_columns: Columns of 0 and 1, one for each class, instead of a column of labels; [anger..trust] stands for
            all from the one to the other.
        label_separator: What stands between several labels in a text, such as `|` or `tab`; an empty string takes each
            text as one name. By default it is found from the column as a whole.
        on_error: What to do about rows that cannot be read, or have no text or no label: `stop`, or `skip` them; of
            `predict`, `prediction.on_error` says the same.
        unknown_labels: What to do about rows with labels that a trained model does not know: `stop`, or `skip` them.
    """

    def __init__(
        self,
        dataset: str = "cirimus/super-emotion",
        backbone: str = "bert-base-uncased",
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
        max_length: int = 128,
        tokens_per_batch: int = 1024,
        batch_size: int | None = None,
        pad_to_multiple_of: int = 1,
        seed: int = 42,
        num_workers: int | None = None,
        cache_dir: str | None = None,
        separator: str | None = None,
        encoding: str | None = None,
        header: bool | None = None,
        predict_path: str | None = None,
        id_column: str = "id",
        keep_columns: list[str] | None = None,
        on_error: OnBadRow = "stop",
        label_columns: list[str] | None = None,
        label_separator: str | None = None,
        config: str | None = None,
        revision: str | None = None,
        unknown_labels: OnBadRow = "stop",
    ) -> None:
        super().__init__()
        for key, value in (
            ("max_length", max_length),
            ("tokens_per_batch", tokens_per_batch),
            ("batch_size", batch_size),
            ("pad_to_multiple_of", pad_to_multiple_of),
        ):
            if value is not None and value < 1:
                raise UserError(f"data.{key} is {value}; it should be at least 1")
        for key, value in (("seed", seed), ("num_workers", num_workers)):
            if value is not None and value < 0:
                raise UserError(f"data.{key} is {value}; it should be at least 0")
        self.dataset = expanded(dataset)
        self.backbone = expanded(backbone)
        self.text_column = text_column
        self.label_column = label_column
        self.label_columns = label_columns or []
        self.label_separator = label_separator
        self.labels = labels
        self.classes = classes
        self.multi_label = multi_label
        self.train_size = train_size
        self.val_size = val_size
        self.test_size = test_size
        self.exclude_labels = exclude_labels or []
        self.sources = sources or []
        self.deduplicate = deduplicate
        self.max_length = max_length
        self.tokens_per_batch = tokens_per_batch
        self.batch_size = batch_size
        self.pad_to_multiple_of = pad_to_multiple_of
        self.seed = seed
        self.num_workers = num_workers or 0
        self.cache_dir = caches.cache_dir(cache_dir)
        self.separator = separator
        self.encoding = encoding
        self.header = header
        self.text_format = TableFormat(separator, encoding, header)
        self.predict_path = expanded(predict_path)
        self.id_column = id_column
        self.keep_columns = keep_columns or []
        self.on_error: OnBadRow = on_error
        self.config = config
        self.revision = revision
        self.unknown_labels: OnBadRow = unknown_labels
        self.skipped: dict[str, dict[str, Any]] = {}
        self.duplicates_removed: dict[str, int] = {}
        self.repeats: dict[str, int] = {}  # rows of one text with different labels
        self._warnings: list[str] = []
        self._rows: dict[str, Rows] = {}
        self._available: dict[str, int] = {}  # rows, of which the sizes are taken
        self._judged: str | None = None  # the only split of data that the model was not trained on
        self._label_set: LabelSet | None = None
        self.labels_read = ""  # how, in words
        self._tokenizer: PreTrainedTokenizerBase | None = None
        self._datasets: dict[str, LabelledTokens] = {}
        self._stream: TextStream | None = None
        self.predict_rows: int | None = None
        self.rows_done = 0  # by an earlier run that this one goes on with

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that describe the data, as plain values, with which the same rows can be read again."""
        names = inspect.signature(EmotionDataModule).parameters
        return {name: getattr(self, name) for name in names if name not in OF_THE_MOMENT}

    # Rows

    @property
    def label_names(self) -> list[str]:
        """The names of the classes, to which the model is linked; unless given, the data are read on first use."""
        if self.classes:
            return self.classes
        return list(self._read().names)

    def rows(self, split: str) -> Rows:
        """The rows of a split after filtering, de-duplication and sampling.

        Args:
            split: ``train``, ``validation`` or ``test``.

        Raises:
            UserError: The data set has no such split, or nothing is left of it.
        """
        self._read()
        if split not in self._rows:
            raise UserError(f"{self.dataset} has no split {split}; it has {', '.join(self._rows)}")
        if not len(self._rows[split]) and split == "validation" and self.duplicates_removed.get("validation"):
            raise UserError(
                f"every validation text of {self.dataset} also stands in test, so nothing is left to choose the "
                "checkpoint by; give other validation rows, or keep these with --data.deduplicate false"
            )
        if not len(self._rows[split]):
            raise UserError(f"the split {split} of {self.dataset} is empty; look at the filters under `data`")
        return self._rows[split]

    @property
    def class_counts(self) -> list[int]:
        """Training rows per class, in the order of the labels."""
        return self.count_classes("train")

    def count_classes(self, split: str) -> list[int]:
        """Rows per class, in the order of the labels, by each row's first class (multi-label: by each class).

        Args:
            split: The split.
        """
        counts = [0] * len(self.label_names)
        for ids in self.rows(split).labels:
            for index in ids if self.multi_label else ids[:1]:
                counts[index] += 1
        return counts

    def _read(self) -> LabelSet:
        """Reads the data on the first call."""
        if self._label_set is not None:
            return self._label_set
        names, splits = self._read_splits()
        splits, numbering = sampling.drop_numbering_sources(splits)
        self._warnings = [] if self.multi_label else warnings.text_warnings(splits)
        if numbering:
            self._warnings.append(
                f"the column source has {numbering:,} values for {sum(map(len, splits.values())):,} rows; there are no "
                "scores by source"
            )
        splits = self._agreed(splits)
        self._warnings += warnings.label_warnings(splits, names.names, self.multi_label)
        splits, made = sampling.complete_splits(splits, self.seed)
        if made:
            say(f"{self.dataset} has no {' and no '.join(made)} split: {sampling.HELD_OUT_SHARE:.0%} of train for each")
        if self.deduplicate and not self._judged:
            splits, self.duplicates_removed = sampling.deduplicate(splits)
        for split, rows in splits.items():
            if len(rows):
                key = SIZE_KEYS[split]
                self._available[split] = len(rows)
                size = sampling.row_count(getattr(self, key), len(rows), f"data.{key}")
                rows = rows.take(sampling.stratified_sample(rows, size, (self.seed, SPLITS.index(split))))
            self._rows[split] = rows
        self._label_set = names
        return names

    def _read_splits(self) -> tuple[LabelSet, dict[str, Rows]]:
        """The rows that are left by the filters, with the classes of the model where there is one."""
        names, splits = read_dataset(
            self.dataset,
            self.text_column,
            self.label_column,
            self.labels,
            self.multi_label,
            self.label_columns,
            self.label_separator,
            self.classes or (),
            self.text_format,
            config=self.config,
            revision=self.revision,
            on_error=self.on_error,
        )
        self.labels_read = names.origin
        self.skipped = {split: rows.skipped for split, rows in splits.items() if rows.skipped}
        if self._judged:
            splits = whole_split(splits, self._judged, self.dataset)
        if self.sources:
            splits = sampling.keep_sources(splits, self.sources)
        if self.exclude_labels:
            names, splits = sampling.drop_labels(splits, names, self.exclude_labels)
        if self.classes:
            splits = sampling.match_classes(splits, names, self.classes, self.unknown_labels)
            names = LabelSet(tuple(self.classes))
        return names, splits

    def _agreed(self, splits: dict[str, Rows]) -> dict[str, Rows]:
        """The splits with one opinion about each text, unless repeats are kept."""
        if self.deduplicate:
            splits, self.repeats = merge_raters(splits, self.multi_label)
            if self.repeats["merged"]:
                say(
                    f"{self.dataset}: {self.repeats['merged']:,} rows repeat a text with other labels, and are merged "
                    "into one row with all labels of the text (data.deduplicate false keeps them)"
                )
        return splits

    # Batches

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """That of the model being trained, else that of the backbone."""
        if self._tokenizer is None:
            model = self.trainer.lightning_module if self.trainer else None
            self._tokenizer = getattr(model, "tokenizer", None) or load_tokenizer(self.backbone)
        return self._tokenizer

    def prepare_data(self) -> None:
        """Reads and tokenizes once on each machine; the other processes there find the tokens in the cache."""
        if self.trainer is not None and self.trainer.state.fn is not None:
            with contextlib.suppress(Exception):  # `setup` meets it again, and ends all processes with it
                self._prepare(self.trainer.state.fn.value)

    def setup(self, stage: str) -> None:
        """Reads, samples and tokenizes what a stage needs.

        Args:
            stage: ``fit``, ``validate``, ``test`` or ``predict``.

        Raises:
            UserError: Something of it cannot be read.
        """
        with distributed.fail_together():
            self._prepare(stage)
        if stage == "predict":
            self._stream = self._text_stream(distributed.on_rank_zero(self._predict_files))
            self.predict_rows, self._stream.digest = distributed.on_rank_zero(self._surveyed)

    def _prepare(self, stage: str) -> None:
        if stage not in STAGE_SPLITS:
            raise unknown("the stage", str(stage), STAGE_SPLITS)
        self._check_length()
        if stage in ("validate", "test"):
            self._judge(STAGE_SPLITS[stage][0])
        for split in STAGE_SPLITS[stage]:
            if split not in self._datasets:
                self._datasets[split] = self._tokenized(split)
                judged, available = len(self._rows[split]), self._available[split]
                if stage != "fit" and judged < available:
                    say(f"{judged:,} of {available:,} rows of {split} are judged (data.{SIZE_KEYS[split]})")

    def _judge(self, split: str) -> None:
        """Takes all rows where they are others than the model was trained on, and its classes."""
        model = self.trainer.lightning_module if self.trainer else None
        trained_on = getattr(model, "trained_on", None)
        if model is None or (trained_on is not None and is_same_dataset(self.settings, trained_on)):
            return
        if self._judged != split:
            self._judged, self._label_set, self._rows, self._datasets = split, None, {}, {}
            self.classes = self.classes or getattr(model, "labels", None)

    def check_judged(self, trained_on: Mapping[str, Any]) -> None:
        """Checks that the rows to judge a model by are none that it was trained on.

        Args:
            trained_on: The settings of its training data.

        Raises:
            UserError: All rows of its training data would be judged.
        """
        if self._judged and is_same_dataset(self.settings, trained_on):
            raise UserError(
                f"the model of this checkpoint was trained on {self.dataset}; load it with "
                "EmotionClassifier.load_from_checkpoint, so that only rows that were held out are judged"
            )

    def _check_length(self) -> None:
        """Refuses texts that are longer than the tokenizer says, or than the encoder has positions for."""
        model = self.trainer.lightning_module if self.trainer else None
        of_model = getattr(model, "longest_text", None)
        positions = of_model(self.max_length) if of_model else longest_text(self.backbone, up_to=self.max_length)
        longest = min(size for size in (positions, self.tokenizer.model_max_length, self.max_length) if size)
        if self.max_length > longest:
            raise UserError(
                f"data.max_length is {self.max_length}, but the backbone reads at most {longest} tokens; "
                f"set --data.max_length {longest}"
            )

    def _tokenized(self, split: str) -> LabelledTokens:
        rows = self.rows(split)
        tokens = cached_tokens(rows.texts, self.tokenizer, self.max_length, self.cache_dir, f"tokenize {split}")
        source = "read from the cache" if tokens.from_cache else "tokenized"
        say(f"{split}: {len(rows):,} texts, {len(tokens.ids):,} tokens {source}")
        targets = LabelSet(tuple(self.label_names)).targets(rows.labels, self.multi_label)
        first = np.array([ids[0] if ids else -1 for ids in rows.labels], dtype=np.int64)
        return LabelledTokens(tokens, targets, first, Padding.of(self.tokenizer), self.pad_to_multiple_of)

    def prepared(self, split: str) -> LabelledTokens:
        """The tokenized rows of a split.

        Args:
            split: A split that `setup` has prepared.

        Raises:
            UserError: It has not.
        """
        if split not in self._datasets:
            raise UserError(
                f"the {split} rows are not prepared yet; call data.setup('fit') first, or give the data to a Trainer"
            )
        return self._datasets[split]

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled batches of the training rows; those that a resumed run has not had yet."""
        loader = self._loader("train", shuffle=True)
        trainer = self.trainer
        if trainer is not None:  # which may have ended its training
            progress = trainer.fit_loop.epoch_loop.batch_progress
            loader.batches.place = lambda: progress.current.completed if trainer.training else 0
        return loader

    def state_dict(self) -> dict[str, str]:
        """What the rows and batches of each split are made of, by which a resumed run knows whether they changed."""
        batches = {"tokens": self.tokens_per_batch, "rows": self.batch_size, "seed": self.seed}
        return {**{split: self._fingerprint(split) for split in self._datasets}, "batches": json.dumps(batches)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Does nothing: whoever resumes compares.

        Args:
            state_dict: What `state_dict` gave.
        """

    def _fingerprint(self, split: str) -> str:
        dataset = self._datasets[split]
        content = hashlib.sha256(f"{dataset.tokens.key} {dataset.multiple}".encode())
        content.update(dataset.targets.numpy().tobytes())
        return content.hexdigest()

    def measured_batches(self, count: int) -> list[Batch]:
        """Training batches to measure the speed with, from short texts to long ones.

        Args:
            count: How many.
        """
        dataset = self.prepared("train")
        batches = list(
            BatchSampler(dataset.padded_lengths, self.tokens_per_batch, self.batch_size, rank=0, world_size=1)
        )
        return [dataset[batches[(2 * place + 1) * len(batches) // (2 * count)]] for place in range(count)]

    def val_dataloader(self) -> DataLoader[Batch]:
        """Batches of the validation rows, in order of length."""
        return self.evaluation_dataloader("validation")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Batches of the test rows, in order of length."""
        return self.evaluation_dataloader("test")

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Batches of the texts to label, read as a stream."""
        return DataLoader(self.stream, batch_size=None)

    @property
    def stream(self) -> TextStream:
        """The texts to label, after `setup`.

        Raises:
            UserError: It was not called.
        """
        if self._stream is None:
            raise UserError("the texts to label are not opened yet; call data.setup('predict') first")
        return self._stream

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle keeps: neither the Trainer nor the open texts, which belong to a process."""
        return {**vars(self), "trainer": None, "_stream": None}

    def _predict_files(self) -> list[str]:
        if self.predict_path is None:
            raise UserError("predict needs to know what to read; give --data.predict_path FILE, or - for stdin")
        return record_files(hub_folder(self.predict_path))

    def _surveyed(self) -> tuple[int | None, str | None]:
        return self.stream.survey(), self.stream.digest

    def _text_stream(self, files: Sequence[str]) -> TextStream:
        return TextStream(
            files,
            self.text_column,
            self.keep_columns,
            self.id_column,
            self.tokenizer,
            self.max_length,
            PREDICTION * self.tokens_per_batch,
            Padding.of(self.tokenizer),
            self.on_error,
            self.pad_to_multiple_of,
            self.text_format,
        )

    def evaluation_dataloader(
        self, split: str, whole: bool = False, share: tuple[int, int] | None = None
    ) -> DataLoader[Batch]:
        """Batches of the rows of a split, in order of length, shared out among the processes.

        Args:
            split: A split that `setup` has prepared.
            whole: Whether all batches will be used, whatever the Trainer's limits are.
            share: Which process of how many this is, if not of all.
        """
        limit = 1.0
        if self.trainer is not None and not whole:
            limit = getattr(self.trainer, "overfit_batches", 0) or getattr(self.trainer, LIMITS[split])
        return self._loader(split, spread=limit != 1.0 or isinstance(limit, int), share=share)

    def _loader(
        self, split: str, shuffle: bool = False, spread: bool = False, share: tuple[int, int] | None = None
    ) -> BatchLoader:
        dataset = self.prepared(split)
        rank, world_size = share or (None, None)
        if shuffle:
            with distributed.fail_together():
                distributed.check_rows(len(dataset), split)
        sampler = BatchSampler(
            dataset.padded_lengths,
            self.tokens_per_batch * (1 if shuffle else EVALUATION),
            batch_size=self.batch_size,
            shuffle=shuffle,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
            spread=spread,
        )
        on_cuda = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return BatchLoader(dataset, sampler, self.num_workers, pin_memory=on_cuda)

    def describe(self) -> dict[str, Any]:
        """Rows per split and class, duplicates that were removed, and warnings, for the header and the report."""
        prepared: Sequence[str] = list(self._datasets) or list(self._rows)
        rows = {split: len(self.rows(split)) for split in prepared}
        counts = {split: dict(zip(self.label_names, self.count_classes(split), strict=True)) for split in prepared}
        return {
            "dataset": self.dataset,
            **{key: value for key in ("config", "revision") if (value := getattr(self, key)) is not None},
            "labels_read": self.labels_read,
            "rows": rows,
            "rows_per_class": counts,
            "duplicates_removed": self.duplicates_removed,
            "repeats": self.repeats,
            "skipped": self.skipped,
            "warnings": [*self._warnings, *warnings.split_warnings(counts, rows, self.multi_label)],
        }
