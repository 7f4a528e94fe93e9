"""The settings of the data, with their checks. `EmotionDataModule` explains each of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from emotion_lit.data.formats.readers import TableFormat
from emotion_lit.errors import UserError
from emotion_lit.utils import caches
from emotion_lit.utils.paths import expanded

Size = int | float | str | None
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
    """All settings under `data`, in the order of the arguments of `EmotionDataModule`.

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
    tokens_per_batch: int = 1024
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
                if value is not None and value < least:
                    raise UserError(f"data.{name} is {value}; it should be at least {least}")
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
