"""A shard: one of several parts of an input that are labeled by commands that know nothing of each other."""

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from emotion_lit.errors import UserError
from emotion_lit.inference.part_files import Part
from emotion_lit.utils.files import write_text

WRITTEN = re.compile(r"(\d+)/(\d+)")
# The name of a shard's file, as the data sets of the Hugging Face Hub have it.
NAME = re.compile(r"(?P<stem>.+)-(?P<number>\d{5,})-of-(?P<count>\d{5,})")
HINT = "write for example 3/16 for the third of sixteen"


@dataclass(frozen=True)
class Shard:
    """One of several parts of an input.

    Args:
        number: Its number, from one.
        count: The number of shards.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The shard that a setting names, such as ``3/16``.

        Args:
            text: The setting.

        Raises:
            UserError: It names none.
        """
        found = WRITTEN.fullmatch(text.strip())
        if found is None:
            raise UserError(f"prediction.shard {text} is not of the form NUMBER/COUNT; {HINT}")
        number, count = int(found[1]), int(found[2])
        if not 1 <= number <= count:
            raise UserError(f"prediction.shard {text} is out of range: shards are numbered from 1 to {count}; {HINT}")
        return cls(number, count)

    @classmethod
    def of_file(cls, file: Path) -> Self | None:
        """The shard that the name of a file tells; None if it tells none.

        Args:
            file: The file.
        """
        found = NAME.fullmatch(file.stem)
        return cls(int(found["number"]), int(found["count"])) if found else None

    def file(self, whole: Path) -> Path:
        """The file of the shard, such as ``labels-00003-of-00016.csv``.

        Args:
            whole: The file that all shards are joined to, such as ``labels.csv``.
        """
        return whole.with_name(f"{whole.stem}-{self.number:05}-of-{self.count:05}{whole.suffix}")

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


@dataclass(frozen=True)
class ShardContent:
    """What is known of a shard's file, in a file next to it. The shards of an output are joined if these agree.

    Args:
        shard: The number of the shard and of all shards.
        made_from: What decides the content of the output: the checkpoint, the input, and the settings.
        engine: The engine that has computed it.
        columns: The names of the columns.
        parts: The numbers of rows in each window, see `Part`.
        schemas: For Parquet, the types that the columns of a window had of themselves, as Arrow's IPC in base64, by the
            number of the window, where they are not those of the file.
        sha256: The hash of the file.
        rejects_sha256: The hash of the file of rejects; "" where there is none.
    """

    shard: tuple[int, int]
    made_from: dict[str, Any]
    engine: str
    columns: list[str]
    parts: dict[int, dict[str, Any]]
    sha256: str
    rejects_sha256: str
    schemas: dict[int, str] = field(default_factory=dict)

    def _check(self) -> None:
        """Checks the types.

        Raises:
            ValueError: One is wrong.
            TypeError: A part has other keys.
        """
        number, count = self.shard
        parts = [Part(**part) for part in self.parts.values()]
        is_valid = (
            *(type(value) is int for value in (number, count, *self.parts)),
            *(isinstance(value, str) for value in (self.engine, self.rejects_sha256, *self.columns)),
            *(isinstance(value, str) for value in self.schemas.values()),
            *(type(value) is int and value >= 0 for part in parts for value in (part.rows, part.rejects)),
            isinstance(self.made_from, dict),
            isinstance(self.columns, list),
            isinstance(self.sha256, str) and bool(self.sha256),
        )
        if not all(is_valid) or not 1 <= number <= count:
            raise ValueError(f"{self.shard} is described in other types")

    def save(self, file: Path) -> None:
        """Writes it next to the shard's file.

        Args:
            file: The shard's file.
        """
        write_text(content_file(file), json.dumps(asdict(self)))

    @classmethod
    def read(cls, file: Path) -> Self:
        """Reads it.

        Args:
            file: The shard's file.

        Raises:
            UserError: It is missing or damaged.
        """
        path = content_file(file)
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            numbered = {
                key: {int(number): one for number, one in fields.pop(key).items()} for key in ("parts", "schemas")
            }
            content = cls(**{**fields, "shard": tuple(fields["shard"]), **numbered})
            content._check()
            return content
        except FileNotFoundError:
            raise UserError(
                f"{file} is not a shard that was completed: there is no {path.name} next to it; copy that file too, or "
                "label the shard again"
            ) from None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(f"{path} is damaged; label the shard again with --prediction.overwrite true") from error


def content_file(file: Path) -> Path:
    """Where the content of a shard's file is described.

    Args:
        file: The shard's file.
    """
    return file.with_name(f"{file.name}.shard.json")


@dataclass(frozen=True)
class FirstEngine:
    """The engine that the first of several shards has chosen, for the others that see the same folder.

    Shards choose on the same texts, but a measured speed may differ.

    Args:
        whole: The file that all shards are joined to.
        made_from: What decides its content; an engine that was chosen for something else is forgotten.
    """

    whole: Path
    made_from: dict[str, Any]

    @property
    def file(self) -> Path:
        """Where it is remembered."""
        return self.whole.with_name(f".{self.whole.name}.engine.json")

    def read(self) -> str | None:
        """The engine; None if none is remembered."""
        try:
            found = json.loads(self.file.read_text(encoding="utf-8"))
            return str(found["engine"]) if found["made_from"] == self.made_from else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def remember(self, engine: str) -> None:
        """Remembers it, unless another shard was first.

        Args:
            engine: The engine.
        """
        if self.read() is None:
            write_text(self.file, json.dumps({"made_from": self.made_from, "engine": engine}))
