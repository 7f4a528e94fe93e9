"""The settings of the data, with their explanations, which the command line prints, and their checks."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from emotion_lit.data.budgets import AUTO, TokenBudget
from emotion_lit.data.formats.readers import TableFormat
from emotion_lit.data.sizes import Size, parse_size
from emotion_lit.errors import UserError
from emotion_lit.utils import caches
from emotion_lit.utils.paths import expanded

OnBadRow = Literal["stop", "skip"]

# Settings of the model, the machine or the command. A checkpoint does not store them.
NOT_SAVED = (
    *("backbone", "classes", "pad_to_multiple_of", "num_workers", "cache_dir"),
    *("predict_path", "id_column", "keep_columns", "unknown_labels"),
)
# Settings of the rows of one dataset, which do not apply to another dataset.
DATASET_SPECIFIC = (
    *("config", "revision", "separator", "encoding", "header", "on_error"),
    *("text_column", "label_column", "label_columns", "label_separator", "labels"),
    *("train_size", "val_size", "test_size", "exclude_labels", "sources", "deduplicate"),
)


@dataclass(frozen=True)
class DataSettings:
    """The settings under `data`, which are the arguments of `EmotionDataModule`.

    Args:
        dataset: A Hub id, a folder in Hub layout, a folder with one folder per class, a file (which `fit` splits
            80/10/10), or `sample`, the small dataset in this package.
        backbone: The encoder whose tokenizer is used; on the command line, the backbone of the model.
        text_column: The column of texts. By default it is found by its name, such as `text`, `sentence` or `tweet`.
        label_column: The column of labels: names, ids, lists of these, or objects of an annotation tool. By default it
            is found by its name, such as `labels`, `label` or `emotion`.
        labels: The class names in the order of their ids. By default they come from the data: names that differ only
            in case and spaces are one class.
        classes: The classes of a trained model; the labels of the data are matched to them by name.
        multi_label: Whether a text can have several classes (multi-label classification). If not, a text with several
            classes trains on all of them with equal weight, and its first class is its target in evaluation.
        train_size: The number of training rows, a share such as 0.02 or "2%", or all rows by default. Samples are
            stratified by class.
        val_size: The number or share of validation rows.
        test_size: The number or share of test rows.
        exclude_labels: Classes to leave out; [Neutral] gives the six-emotion task.
        sources: Use only rows whose column `source` has one of these values.
        deduplicate: Remove duplicates from the training rows, training texts that also occur in validation or test,
            and validation texts that also occur in test.
        max_length: The maximum number of tokens per text; longer texts are truncated.
        tokens_per_batch: The number of tokens per batch, padding included; evaluation and prediction take more. `auto`
            is 1024 on a CPU. On a GPU it depends on the number of texts, and evaluation fills the memory.
        batch_size: A fixed number of rows per batch, instead of `tokens_per_batch`.
        pad_to_multiple_of: Pad texts to a multiple of this number of tokens; on the command line, 16 with
            `model.compile_encoder`.
        seed: The seed of samples and of the order of rows.
        num_workers: The number of processes that prepare batches. By default none, because padding is cheaper than
            passing batches between processes.
        cache_dir: The folder for tokens. By default $EMOTION_LIT_CACHE, or a folder in the user's cache.
        separator: The delimiter of a `.csv`, `.tsv` or `.txt` file: a character, or `tab`, `comma`, `semicolon` or
            `bar`. By default it is detected; a `.txt` file then has no columns.
        encoding: The encoding of text files, such as cp1252. By default UTF-8, or UTF-16 if it is detected.
        header: Whether the first line of a `.csv` or `.tsv` file has the column names. By default it is detected.
        predict_path: The texts for `predict`: a .csv, .tsv, .jsonl, .json, .parquet, .arrow or .txt file, also as .gz,
            .zst, .bz2, .xz or .zip, a folder of these, a dataset on the Hub, or - for stdin.
        id_column: The column of row ids that `predict` copies to its output; a row without an id gets its number.
        keep_columns: Other columns that `predict` copies to its output.
        on_error: Rows that cannot be read, or have no text or no label: `stop` there, or `skip` them. For `predict`,
            `prediction.on_error` means the same.
        label_columns: Columns of 0 and 1, one per class, instead of a column of labels; [anger..trust] means all
            columns from anger to trust.
        label_separator: The separator of several labels in one text, such as `|` or `tab`; an empty string for single
            labels. By default it is detected from the whole column.
        config: The configuration of a dataset that has several.
        revision: The branch, tag or commit of a dataset on the Hub. By default the newest.
        unknown_labels: Rows with labels that a trained model does not know: `stop` there, or `skip` them.

    Raises:
        UserError: A setting has a value that it cannot have.
    """

    dataset: str = "cirimus/super-emotion"
    backbone: str = "bert-base-uncased"
    text_column: str | None = None
    label_column: str | None = None
    labels: list[str] | None = None
    classes: list[str] | None = None
    multi_label: bool = False
    train_size: Size = None
    val_size: Size = None
    test_size: Size = None
    exclude_labels: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    deduplicate: bool = True
    max_length: int = 128
    tokens_per_batch: TokenBudget = AUTO
    batch_size: int | None = None
    pad_to_multiple_of: int = 1
    seed: int = 42
    num_workers: int = 0
    cache_dir: str | None = None
    separator: str | None = None
    encoding: str | None = None
    header: bool | None = None
    predict_path: str | None = None
    id_column: str = "id"
    keep_columns: list[str] = field(default_factory=list)
    on_error: OnBadRow = "stop"
    label_columns: list[str] = field(default_factory=list)
    label_separator: str | None = None
    config: str | None = None
    revision: str | None = None
    unknown_labels: OnBadRow = "stop"

    def __post_init__(self) -> None:
        for least, names in (
            (1, ("max_length", "tokens_per_batch", "batch_size", "pad_to_multiple_of")),
            (0, ("seed", "num_workers")),
        ):
            for name in names:
                value = getattr(self, name)
                if isinstance(value, int) and value < least:
                    raise UserError(f"data.{name} is {value}; it should be at least {least}")
        for name in ("train_size", "val_size", "test_size"):
            if (size := getattr(self, name)) is not None:
                parse_size(size, f"data.{name}")
        if twice := [name for name in self.keep_columns if self.keep_columns.count(name) > 1]:
            raise UserError(f"data.keep_columns has {twice[0]!r} twice; name it once")
        for name in ("dataset", "backbone", "predict_path", "cache_dir"):
            if getattr(self, name) == "":  # often a variable of the shell that is not set
                raise UserError(f"data.{name} is empty; give it a value, or leave it out")
        for name in ("dataset", "backbone", "predict_path"):
            object.__setattr__(self, name, expanded(getattr(self, name)))
        self.table_format  # noqa: B018  checks the separator and the encoding

    @property
    def saved(self) -> dict[str, Any]:
        """The settings that a checkpoint stores, as plain values. The same rows can be read again with them."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name not in NOT_SAVED}

    @property
    def table_format(self) -> TableFormat:
        """How text files are divided into rows and columns."""
        return TableFormat(self.separator, self.encoding, self.header)

    @property
    def cache_folder(self) -> Path:
        """The folder of caches."""
        return caches.cache_dir(self.cache_dir)


def is_same_dataset(settings: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    """Whether two settings name the same dataset. Another revision is the same dataset, another config is not.

    Args:
        settings: Settings of the data.
        others: Other settings of the data, such as those in a checkpoint.
    """
    dataset, other = settings.get("dataset"), others.get("dataset")
    if not dataset or not other or settings.get("config") != others.get("config"):
        return False
    both_exist = Path(dataset).exists() and Path(other).exists()
    return Path(dataset).samefile(other) if both_exist else dataset == other
