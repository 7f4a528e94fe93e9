"""Files of every kind, in any case and compressed, give the same rows."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emotion_lit.data.formats.files import data_suffix, record_files
from emotion_lit.data.formats.readers import column_names, read_blocks
from emotion_lit.errors import UserError

ROWS = [{"text": "one, two", "label": "joy"}, {"text": "three", "label": "fear"}]


def arrow(stream: bool) -> bytes:
    out = io.BytesIO()
    table = pa.Table.from_pylist(ROWS)
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), out)
    return out.getvalue()


def zipped(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("whatever", content)
    return out.getvalue()


def zstd(content: bytes) -> bytes:
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as file:
        file.write(content)
    return bytes(out.getvalue())


LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
CONTENTS: dict[str, Callable[[], bytes]] = {
    "a.csv": lambda: b'text,label\n"one, two",joy\nthree,fear\n',
    "A.TSV": lambda: b"text\tlabel\none, two\tjoy\nthree\tfear\n",
    "a.jsonl": lambda: LINES,
    "a.Ndjson": lambda: LINES,
    "a.json": lambda: json.dumps(ROWS, indent=2).encode(),
    "lines.json": lambda: LINES,
    "a.parquet": parquet,
    "a.arrow": lambda: arrow(stream=False),
    "stream.arrow": lambda: arrow(stream=True),
    "a.FEATHER": lambda: arrow(stream=False),
}
COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".BZ2": bz2.compress,
    ".xz": lzma.compress,
    ".zip": zipped,
    ".zst": zstd,
}


@pytest.mark.parametrize("name", CONTENTS)
def test_every_kind_gives_the_same_rows(name: str, tmp_path: Path) -> None:
    for suffix, compress in COMPRESSED.items():
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes(compress(CONTENTS[name]()))
        (block,) = read_blocks(str(path))
        assert block.table.to_pylist() == ROWS, path.name
        assert column_names(str(path)) == ("text", "label")
        (block,) = read_blocks(str(path), ["label"])
        assert block.table.column_names == ["label"]


def test_a_zip_of_several_files_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.csv.zip", "w") as archive:
        archive.writestr("a.csv", "text\n")
        archive.writestr("b.csv", "text\n")
    with pytest.raises(UserError, match="contains 2 files where one is expected"):
        list(read_blocks(str(tmp_path / "a.csv.zip")))


def test_what_tools_keep_beside_the_rows_is_not_read(tmp_path: Path) -> None:
    for name in ("dataset_info.json", "state.json", "rows.JSON"):
        (tmp_path / name).write_text("[]")
    assert [Path(file).name for file in record_files(str(tmp_path))] == ["rows.JSON"]
    assert data_suffix(Path("A.CSV.GZ")) == ".csv"


def test_a_duplicate_column_is_named_in_every_kind(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table)
    (tmp_path / "a.jsonl").write_text('{"text": "a", "text": "b"}\n')
    (tmp_path / "a.json").write_text('[{"text": "a", "text": "b"}]\n')
    for name in ("a.parquet", "a.arrow", "a.jsonl", "a.json"):
        with pytest.raises(UserError, match="'text' (occurs )?twice"):
            list(read_blocks(str(tmp_path / name)))
