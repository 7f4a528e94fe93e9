from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emotion_lit.data.formats.readers import Block, Reject, column_names, read_blocks
from emotion_lit.errors import UserError


def blocks_of(path: Path, **options: Any) -> list[Block]:
    return list(read_blocks(str(path), **options))


def skip(where: str, reason: str, content: Any) -> None:
    """Lets a reject be one."""


def test_a_block_has_its_rows_names_and_places(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label,id\none,joy,1\nodd\ntwo,fear,2\n")
    (block,) = blocks_of(tmp_path / "a.csv", columns={"text", "id", "missing"}, on_error=skip)
    assert block.table.to_pydict() == {"text": ["one", "two"], "id": ["1", "2"]}
    assert block.names == ("text", "label", "id")
    assert [block.place(row) for row in range(2)] == ["a.csv, line 2", "a.csv, line 4"]
    assert [(reject.where, reject.content) for reject in block.rejects] == [("a.csv, line 3", ["odd"])]
    assert block.before == [1]
    with pytest.raises(UserError, match="line 3 has 1 fields"):
        blocks_of(tmp_path / "a.csv")


def test_values_of_json_are_what_they_were(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"text": "\\ud83d", "label": {"joy": 1}, "n": 1}\n{"label": ["x", 2], "n": 2.5}\n{"text": "z", "n": null}\n'
    )
    (block,) = blocks_of(tmp_path / "a.jsonl")
    assert block.values("text") == ["\ud83d", None, "z"]
    assert block.values("label") == [{"joy": 1}, ["x", 2], None]
    assert block.values("n") == [1, 2.5, None]


def test_types_of_parquet_are_kept(tmp_path: Path) -> None:
    table = pa.table(
        {"text": ["one"], "when": pa.array([3 * 10**14], pa.timestamp("ms")), "d": pa.array([1], pa.int8())}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    (block,) = blocks_of(tmp_path / "a.parquet")
    assert block.table.schema.types == table.schema.types
    assert block.values("when")[0].startswith("11476-08-15")
    assert column_names(str(tmp_path / "a.parquet")) == ("text", "when", "d")


def test_a_reject_is_made_of_its_parts() -> None:
    assert Reject("a.csv, line 3", "odd", ["odd"]).content == ["odd"]
