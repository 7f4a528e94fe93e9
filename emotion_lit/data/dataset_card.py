"""The dataset card (README.md): configurations, the files of splits, and the names of classes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from emotion_lit.errors import UserError, unknown
from emotion_lit.utils.names import listed

CARD = "README.md"
FRONT_MATTER = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)\r?\n---", re.DOTALL)


@dataclass(frozen=True)
class Config:
    """A configuration of a dataset.

    Args:
        patterns: The patterns of each split's files; empty if splits are found by file names.
        folder: The folder of the configuration; empty for the folder of the card.
    """

    patterns: Mapping[str, Sequence[str]]
    folder: str = ""

    def files_of(self, split: str, files: Sequence[str]) -> list[str]:
        """The files of a split, among all files of the dataset."""
        from fsspec.utils import glob_translate

        wanted = [f"{self.folder}/{one.removeprefix('./')}".lstrip("/") for one in self.patterns[split]]
        expressions = [re.compile(glob_translate(one)) for one in wanted]
        return [file for file in files if any(one.match(file) for one in expressions)]


@dataclass(frozen=True)
class Card:
    """The metadata of a dataset card.

    Args:
        configs: The configurations by name.
        default: The default configuration.
        names: The classes in the order of their ids, by configuration and column.
    """

    configs: dict[str, Config] = field(default_factory=dict)
    default: str | None = None
    names: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def choose(self, name: str | None, where: str) -> tuple[Config | None, dict[str, list[str]]]:
        """The configuration with a name, or the default, and the classes of its columns.

        Args:
            name: The name; None for the default.
            where: The dataset, for messages.

        Raises:
            UserError: There is no such configuration, or there are several and none is the default.
        """
        if name is None and len(self.configs) > 1 and self.default is None:
            raise UserError(f"{where} has several configurations; name one with --data.config: {listed(self.configs)}")
        if name is not None and self.configs and name not in self.configs:
            raise unknown(f"{where}: the configuration", name, self.configs)
        chosen = name or self.default or next(iter(self.configs), None)
        names = self.names.get(chosen or "default") or (next(iter(self.names.values())) if len(self.names) == 1 else {})
        return self.configs.get(chosen or ""), names


def read_card(text: str, where: str) -> Card:
    """Reads the front matter of a card.

    Args:
        text: The README.
        where: The place of the README, for messages.

    Raises:
        UserError: The library `datasets` cannot read the front matter.
    """
    matter = FRONT_MATTER.match(text)
    try:
        metadata = yaml.safe_load(matter[1]) if matter else None
        if not isinstance(metadata, dict) or not metadata.keys() & {"configs", "dataset_info"}:
            return Card()
        from datasets.data_files import sanitize_patterns
        from datasets.info import DatasetInfosDict
        from datasets.utils.metadata import MetadataConfigs

        configs = MetadataConfigs.from_dataset_card_data(metadata)
        infos = DatasetInfosDict.from_dataset_card_data(metadata)
        return Card(
            {
                name: Config(sanitize_patterns(one.get("data_files") or {}), str(one.get("data_dir") or "").strip("/"))
                for name, one in configs.items()
            },
            configs.get_default_config_name(),
            {name: class_names(info.features or {}) for name, info in infos.items()},
        )
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{where}: `datasets` cannot read the front matter between the --- lines ({reason})") from error


def class_names(features: Mapping[str, Any]) -> dict[str, list[str]]:
    """The classes in the order of their ids, of each column with a ``ClassLabel`` or lists of them.

    Args:
        features: The columns, as `datasets` describes them.
    """
    found = {column: _names(one) for column, one in features.items()}
    return {column: list(names) for column, names in found.items() if names}


def _names(feature: Any) -> Any:
    return getattr(getattr(feature, "feature", feature), "names", None)
