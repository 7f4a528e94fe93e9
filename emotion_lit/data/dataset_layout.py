"""The splits of a folder: found by the names of files and folders, as on the Hub, or given by its dataset card."""

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from emotion_lit.data.dataset_card import Card
from emotion_lit.data.formats.files import data_suffix
from emotion_lit.data.rows import SPLITS
from emotion_lit.errors import UserError, unknown
from emotion_lit.utils.console import say
from emotion_lit.utils.names import listed

# The names of splits in file and folder names.
SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
SPLIT_OF = {name: split for split, names in SPLIT_NAMES.items() for name in names}
# The name of a split inside a longer name.
KEYWORD = re.compile(rf"(?:^|[-._ 0-9=])({'|'.join(SPLIT_OF)})(?:data|set|file|s)?(?=[-._ 0-9=]|$)")
# File names of the Hub, which can have any split.
SHARD = re.compile(r"data/([\w.]+)-\d{5}-of-\d{5}[^/]*")
# Files of libraries that are not data.
NO_ROWS = re.compile(r"config\.json|README\.txt|cache-[0-9a-f]+.*\.arrow|.*indices\.arrow")
# The number of files that a message names.
SHOWN = 5


@dataclass
class Layout:
    """The files of a dataset, relative to its folder.

    Args:
        splits: The files of each split, in order.
        classes: The class of each file, if every file is one text in a folder named by its class.
        names: The classes in the order of their ids, by column, from the dataset card.
    """

    splits: dict[str, list[str]]
    classes: dict[str, str] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)


def find_layout(files: Iterable[str], card: Card, config: str | None, where: str) -> Layout:
    """Finds the splits of a dataset.

    Args:
        files: All its data files, relative to its folder, with `/` between the parts.
        card: Its dataset card.
        config: The configuration to read.
        where: The dataset, for messages.

    Raises:
        UserError: There are several configurations, or none with this name, or a split has duplicate files.
    """
    own = sorted(file for file in files if not NO_ROWS.fullmatch(PurePosixPath(file).name))
    chosen, names = card.choose(config, where)
    if chosen is None and config is not None:
        own = _below(own, config, where)
    several: list[str] = []
    if chosen is not None and chosen.patterns:
        called = {_split_called(name): name for name in sorted(chosen.patterns, key=SPLITS.__contains__)}
        found = {split: chosen.files_of(called[split], own) for split in SPLITS if split in called}
        splits = {split: files_of_it for split, files_of_it in found.items() if files_of_it}
        if not splits:
            named = listed(f"{split} ({listed(patterns)})" for split, patterns in chosen.patterns.items())
            raise UserError(f"{where}: its README names {named}, but there is no such file of {', '.join(SPLITS)}")
    else:
        folder = f"{chosen.folder}/" if chosen is not None and chosen.folder else ""
        splits = _by_names([file for file in own if file.startswith(folder)])
        several = _folders(splits)
    if not splits:
        raise UserError(
            f"{where} has no rows of {', '.join(SPLITS)}; name the files of its splits train, validation and test, "
            "such as train.csv"
        )
    classes = _class_folders(splits)
    if several and not classes:
        raise UserError(
            f"{where} has splits in several folders: {listed(several)}; choose one with --data.config, or put the "
            "files into one folder if they belong together"
        )
    if classes:
        splits = {split: [file for file in found if file in classes] for split, found in splits.items()}
    else:
        splits = {split: _of_one_kind(found, split, where) for split, found in splits.items()}
    unread = sorted(set(own) - {file for found in splits.values() for file in found}) if chosen is None else []
    if unread:
        say(f"{where}: {_some(unread)} {'is' if len(unread) == 1 else 'are'} not in any split, and not read")
    if len(own) > 1 and not classes and not any(split_of(PurePosixPath(file)) for file in own) and chosen is None:
        say(f"{where}: no file name has the name of a split, so all files are train: {_some(own)}")
    return Layout(splits, classes, names)


def _some(files: Sequence[str]) -> str:
    return listed(files[:SHOWN]) + (f" and {len(files) - SHOWN:,} more" if len(files) > SHOWN else "")


def _split_called(name: str) -> str:
    return SPLIT_OF.get(name.casefold(), name)


def _below(files: Sequence[str], config: str, where: str) -> list[str]:
    """The files of a configuration that is a folder, without a dataset card."""
    found = [file for file in files if file.startswith(f"{config}/")]
    if not found:
        folders = sorted({file.split("/")[0] for file in files if "/" in file})
        if not folders:
            raise UserError(f"{where} has no configurations; leave data.config out")
        raise unknown(f"{where}: the configuration", config, folders)
    return found


def _by_names(files: Sequence[str]) -> dict[str, list[str]]:
    shards = {file: match[1] for file in files if (match := SHARD.fullmatch(file))}
    found = {file: _split_called(name) for file, name in shards.items()} or {
        file: split for file in files if (split := split_of(PurePosixPath(file)))
    }
    found = found or dict.fromkeys(files, "train")
    splits: dict[str, list[str]] = {
        split: [file for file, one in found.items() if one == split] for split in SPLITS if split in found.values()
    }
    return splits


def split_of(file: PurePosixPath) -> str | None:
    """The split of a file by its folder's name, or by a part of its own or a folder's name; None if there is none.

    Args:
        file: The file, relative to the folder of the dataset.
    """
    folders = [part.casefold() for part in reversed(file.parts[:-1])]
    whole = next((SPLIT_OF[part] for part in folders if part in SPLIT_OF), None)
    parts = (KEYWORD.search(part) for part in (file.name.casefold(), *folders))
    return whole or next((SPLIT_OF[match[1]] for match in parts if match), None)


def _folders(splits: dict[str, list[str]]) -> list[str]:
    """The folders that have the same split, if there are several; they may be configurations."""
    for found in splits.values():
        above = set()
        for file in found:
            parts = PurePosixPath(file).parts
            named = next((place for place, part in enumerate(parts) if KEYWORD.search(part.casefold())), None)
            above |= {"/".join(parts[:named])} if named else set()
        if len(above) > 1:
            return sorted(above)
    return []


def _class_folders(splits: dict[str, list[str]]) -> dict[str, str]:
    """The class of each file, if texts are in folders named by classes, such as ``train/joy/1.txt``."""
    classes = {}
    for file in (PurePosixPath(file) for found in splits.values() for file in found):
        folders = [part for part in file.parts[:-1] if not KEYWORD.search(part.casefold())]
        if folders and data_suffix(Path(file)) == ".txt" and not KEYWORD.search(file.name.casefold()):
            classes[str(file)] = folders[-1]
        elif data_suffix(Path(file)) != ".txt":
            return {}
    return classes if len(set(classes.values())) > 1 else {}


def _of_one_kind(files: Sequence[str], split: str, where: str) -> list[str]:
    """The files of a split, without plain-text notes; raises `UserError` for the same rows in several formats."""
    first = {data_suffix(Path(file)): file for file in reversed(files)}
    if len(first) > 1:
        first.pop(".txt", None)
    if len(first) > 1:
        raise UserError(
            f"{where}: {split} is there in several formats: {listed(sorted(first.values()))}; keep one format"
        )
    kept = [file for file in files if data_suffix(Path(file)) in first]
    for one, other in itertools.pairwise(kept):  # sorted, so a file and its compressed copy are neighbors
        if Path(other).with_suffix("") == Path(one) or Path(other).with_suffix("") == Path(one).with_suffix(""):
            raise UserError(f"{where}: {split} occurs twice: {one}, {other}; keep one of them")
    return kept
