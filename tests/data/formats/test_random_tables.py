"""Random tables, as other programs write them: they come back row for row, or are refused in a line."""

import codecs
import csv
import io
import json
import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emotion_lit.data.formats import lines
from emotion_lit.data.formats.csv_reader import CsvReader
from emotion_lit.data.formats.jsonl_reader import JsonReader
from emotion_lit.data.formats.readers import Block, TableFormat, column_names, read_blocks
from emotion_lit.errors import UserError

QUICK, MANY = 40, 5000
Rows = list[list[Any]]
Written = tuple[bytes, TableFormat, Rows]


def examples(number: int) -> Any:
    """A fixed choice of examples."""
    return settings(
        max_examples=number, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )


@pytest.fixture(autouse=True)
def _small_pieces() -> Iterator[None]:
    """So that tables of few rows come in several pieces too."""
    with patch.object(lines, "SMALLEST_CHUNK", 64), patch.object(lines, "LARGEST_CHUNK", 512):
        yield


def skip(where: str, reason: str, content: Any) -> None:
    """Lets a reject be one."""


def everything(blocks: list[Block]) -> tuple[Rows, list[str], list[tuple[str, str, Any]], list[int]]:
    """The rows of blocks, their places, the rejects, and how many rows come before each."""
    names = dict.fromkeys(name for block in blocks for name in block.table.column_names)
    rows: Rows = []
    places, rejects, before = [], [], []
    for block in blocks:
        before += [len(rows) + number for number in block.before]
        rejects += [(reject.where, reject.reason, reject.content) for reject in block.rejects]
        values = {name: block.values(name) for name in block.table.column_names}
        rows += [
            [values[name][row] if name in values else None for name in names] for row in range(block.table.num_rows)
        ]
        places += [block.place(row) for row in range(block.table.num_rows)]
    return rows, places, rejects, before


def read(content: bytes, name: str, **options: Any) -> Any:
    """What a file is read as, or the line in which it is refused."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            blocks = list(read_blocks(str(path), on_error=skip, **options))
            assert all(set(block.table.column_names) <= set(block.names) for block in blocks)
            column_names(str(path), options.get("text_format", TableFormat()))
        except UserError as error:
            assert "\n" not in str(error)  # noqa: PT017
            return str(error).replace(folder, "")
    return everything(blocks)


def alike(first: Any, second: Any) -> bool:
    """Whether values are the same, NaN included."""
    if isinstance(first, float) and isinstance(second, float):
        return first == second or (math.isnan(first) and math.isnan(second))
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(alike, first, second))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(alike(first[key], second[key]) for key in first)
    return (type(first) is type(second) and first == second) or (first == second and not isinstance(first, bool))


ODD = st.sampled_from(list("ab \"',;|\t\\\n\r{}[]:0é漢😀\x00\x0b\x85\u2028\ufeff#=-"))
TEXTS = st.text(ODD | st.characters(exclude_categories=["Cs"]), max_size=12)
HEADER = ["text", "label", "id"]


@st.composite
def tables(draw: st.DrawFn, texts: st.SearchStrategy[str] = TEXTS) -> Rows:
    """Rows of a table with one to three columns."""
    width = draw(st.integers(1, 3))
    return draw(st.lists(st.lists(texts, min_size=width, max_size=width), min_size=1, max_size=12))


def by_csv(draw: Any, rows: Rows) -> Written:
    separator = draw(st.sampled_from(",;\t| :"))
    quoting: Any = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
    written = io.StringIO(newline="")
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    if end != "\r\n":  # before Python 3.13 what may end a line elsewhere is left without quotes
        other = {"\n": "\r", "\r": "\n"}[end]
        rows = [[text.replace(other, "") for text in row] for row in rows]
    csv.writer(written, delimiter=separator, quoting=quoting, lineterminator=end).writerows(rows)
    text = written.getvalue()
    if draw(st.booleans()):
        text = text.removesuffix(end)
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-8"]))
    if encoding == "utf-16-le" and draw(st.booleans()):
        return codecs.BOM_UTF16_LE + text.encode(encoding), TableFormat(separator, None, True), rows
    return text.encode(encoding), TableFormat(separator, encoding, True), rows


def by_pandas(draw: Any, rows: Rows) -> Written:
    separator = draw(st.sampled_from(",;\t|"))
    rows = [[text.replace("\r", "") for text in row] for row in rows]  # pandas leaves these without quotes
    text = pd.DataFrame(rows[1:], columns=rows[0], dtype=str).to_csv(sep=separator, index=False)
    return text.encode(), TableFormat(separator), rows


def by_polars(draw: Any, rows: Rows) -> Written:
    separator = draw(st.sampled_from(",;\t|"))
    frame = pl.DataFrame(rows[1:], schema=dict.fromkeys(rows[0], pl.String), orient="row")
    style: Any = draw(st.sampled_from(["necessary", "always", "non_numeric"]))
    return frame.write_csv(separator=separator, quote_style=style).encode(), TableFormat(separator), rows


def by_arrow(draw: Any, rows: Rows) -> Written:
    table = pa.table(
        {name: pa.array([row[place] for row in rows[1:]], pa.string()) for place, name in enumerate(rows[0])}
    )
    written = io.BytesIO()
    arrow_csv.write_csv(table, written)
    return written.getvalue(), TableFormat(), rows


WRITERS: list[Callable[[Any, Rows], Written]] = [by_csv, by_csv, by_pandas, by_polars, by_arrow]


def come_back(data: st.DataObject) -> None:
    rows = data.draw(tables())
    write = data.draw(st.sampled_from(WRITERS))
    content, text_format, rows = write(data.draw, [HEADER[: len(rows[0])], *rows])
    found = read(content, "a.csv", text_format=text_format)
    assert isinstance(found, tuple), found
    if found[2]:  # of so few rows it cannot always be told whether quotation marks are a part of the text
        assert len(rows) <= 3
        assert text_format.separator != ","
        return
    assert found[0] == [[row[0].lstrip("\ufeff"), *row[1:]] for row in rows[1:]]


PIECES = [
    *('"', '""', ",", ";", "\t", "\n", "\r\n", "\r", "a", "b c", "é", "joy", "\n\n"),
    *('","', ',"', '",', '"\n', "\ufeff"),
]


def both_readers_agree_on_csv(data: st.DataObject) -> None:
    pieces = data.draw(st.lists(st.sampled_from(PIECES) | TEXTS, max_size=60))
    content = b"text,label\n" + "".join(pieces).encode()
    if data.draw(st.booleans()):  # some rows as they should be
        content += b'one,joy\n"two, three",fear\n' * data.draw(st.integers(1, 20))
    if data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(content)))
        content = content[:place] + data.draw(st.binary(max_size=3)) + content[place:]
    columns = data.draw(st.sampled_from([None, {"text"}, {"text", "label", "more"}]))
    separator = data.draw(st.sampled_from([None, ",", "\t", ";"]))
    text_format = TableFormat(separator, None, data.draw(st.sampled_from([None, True, False])))
    fast = read(content, "a.csv", columns=columns, text_format=text_format)
    with patch.object(CsvReader, "_fast", return_value=None):
        careful = read(content, "a.csv", columns=columns, text_format=text_format)
    assert fast == careful
    if isinstance(fast, tuple) and b'"' not in content and b"\0" not in content:
        rows = [line for line in content.lstrip(codecs.BOM_UTF8).splitlines() if line]
        assert len(rows) - len(fast[0]) - len(fast[2]) in (0, 1)  # the header


BROKEN = [
    *(b"", b" ", b'{"text": 1}{"text": 2}', b"[]", b'{"text": "a", "text": "b"}', b'{"more": 1, "more": 2}', b"{}"),
    *(b'{"label": {"a": 1, "a": 2}}', b"{", b'{"text":', b"1}", b'{"text": "\xff"}', b"\xef\xbb\xbf{}"),
    *(b'{"text": 1e400}', b'{"text": 01}', b'{"text": -0}', b'{"text": "\\ud83d\\ude00"}', b'{"text": "a\tb"}'),
    *(b'{"label": 9007199254740993}', b'{"text": "x"} ', b'{"text": "\\udc00"}', b'{"text": NaN}', b'{"text": 1.0}'),
]
KEYS = st.sampled_from(["text", "label", "more", "é"])
DATES = st.sampled_from(["2020-01-01", "2020-01-01T00:00:00"])
LEAVES = TEXTS | DATES | st.integers(-(2**70), 2**70) | st.floats() | st.booleans() | st.none() | st.just("\ud83d")
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=5
)
NUMBERS = st.integers(-3, 3)
KINDS = st.sampled_from(
    [TEXTS, DATES, NUMBERS, st.floats(), st.booleans(), st.lists(NUMBERS, max_size=2), st.lists(TEXTS, max_size=2)]
)


@st.composite
def records(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Records that mostly have values of the same kinds under the same keys."""
    kinds = draw(st.dictionaries(KEYS, KINDS, max_size=4))
    plain = st.fixed_dictionaries({}, optional=kinds) if draw(st.booleans()) else st.fixed_dictionaries(kinds)
    return draw(st.lists(plain | plain | plain | st.dictionaries(KEYS, VALUES, max_size=3), max_size=12))


def both_readers_agree_on_json(data: st.DataObject) -> None:
    ascii_only = data.draw(st.booleans())
    written = [json.dumps(one, ensure_ascii=ascii_only) for one in data.draw(records())]
    encoded = [line.encode("utf-8", "surrogatepass") for line in written]
    if data.draw(st.booleans()):
        encoded = [line for one in encoded for line in (one, *data.draw(st.lists(st.sampled_from(BROKEN), max_size=1)))]
    end = data.draw(st.sampled_from([b"\n", b"\r\n", b"\n", b"\r"]))
    content = end.join(encoded) + data.draw(st.sampled_from([b"", end]))
    columns = data.draw(st.sampled_from([None, {"text"}, {"text", "label"}]))
    fast = read(content, "a.jsonl", columns=columns)
    with patch.object(JsonReader, "_fast", return_value=None):
        careful = read(content, "a.jsonl", columns=columns)
    assert alike(fast, careful), (fast, careful)
    if isinstance(fast, tuple):
        lines_in = [line for line in content.splitlines() if line.lstrip(codecs.BOM_UTF8).strip()]
        assert len(fast[0]) + len(fast[2]) == len(lines_in)


def records_come_back(data: st.DataObject) -> None:
    """Records written by Python's json, pandas and pyarrow, as JSON lines, an array, Parquet and Arrow."""
    width = data.draw(st.integers(1, 3))
    kinds = {name: data.draw(KINDS) | st.none() for name in HEADER[:width]}
    drawn = data.draw(st.lists(st.fixed_dictionaries(kinds), min_size=1, max_size=12))
    rows = [{name: row[name] for name in kinds} for row in drawn]
    way = data.draw(st.sampled_from(["lines", "array", "indented", "pandas", "parquet", "arrow", "stream"]))
    if way in ("lines", "array", "indented"):
        indent = 1 if way == "indented" else None
        text = "\n".join(map(json.dumps, rows)) if way == "lines" else json.dumps(rows, indent=indent)
        name, content = ("a.jsonl" if way == "lines" else "a.json"), text.encode()
    elif way == "pandas":
        texts = pd.DataFrame(rows, dtype=object).to_json(orient="records", lines=True, double_precision=15)
        name, content, rows = "a.jsonl", texts.encode(), [json.loads(line) for line in texts.splitlines()]
    else:
        out = io.BytesIO()
        table = pa.table({key: pa.array([row[key] for row in rows]) for key in kinds})
        if way == "parquet":
            pq.write_table(table, out)
        else:
            with (pa.ipc.new_file if way == "arrow" else pa.ipc.new_stream)(out, table.schema) as writer:
                writer.write_table(table, max_chunksize=3)
        name, content = ("a.parquet" if way == "parquet" else "a.arrow"), out.getvalue()
    found = read(content, name)
    assert isinstance(found, tuple), found
    assert alike(found[0], [list(row.values()) for row in rows]), (found[0], rows)


def tables_are_found(data: st.DataObject) -> None:
    """Tables with sentences and labels, in a dialect that is not set: they come back, or are refused."""
    words = st.sampled_from('so, the; bus | tree left me. "now" it\'s café 😀 3 : -'.split())  # noqa: SIM905
    sentences = st.lists(words, min_size=2, max_size=9).map(" ".join)
    labels = st.sampled_from(["joy", "fear", "anger"])
    rows = data.draw(st.lists(st.tuples(sentences, labels), min_size=2, max_size=30))
    header = data.draw(st.sampled_from([["text", "label"], ["tweet", "emotion"], None]))
    written = io.StringIO(newline="")
    separator = data.draw(st.sampled_from(",;\t|"))
    quoting: Any = data.draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    writer = csv.writer(written, delimiter=separator, quoting=quoting, lineterminator=end)
    writer.writerows([header, *rows] if header else rows)
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]))
    found = read(written.getvalue().encode(encoding), data.draw(st.sampled_from(["a.csv", "a.tsv"])))
    if not isinstance(found, tuple) or found[2]:  # refused
        doubtful = len(rows) <= 3 and not header  # where another separator divides the few rows there are
        assert doubtful or "set data." in str(found), found
    else:
        expected = [list(row) for row in rows]
        assert found[0] == expected or (header is None and found[0] == expected[1:])


WAYS = [come_back, both_readers_agree_on_csv, both_readers_agree_on_json, records_come_back, tables_are_found]


@pytest.mark.parametrize("way", WAYS)
def test_random_tables(way: Callable[[st.DataObject], None]) -> None:
    examples(QUICK)(given(st.data())(way))()


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_many_random_tables(way: Callable[[st.DataObject], None]) -> None:
    examples(MANY)(given(st.data())(way))()


def test_a_line_end_before_a_closing_quotation_mark_starts_no_row() -> None:
    texts = ["00\x80\x80", "00\x80𐀀𐀀𐀀", "0000\x80\x80\x80ࠀ", 6 * "0" + 6 * "\x80", "", "", "", "0\x80\x80𐀀", 7 * "0"]
    texts.append("000\x80\x80𐀀\n")
    content = "".join(f'"{text}"\n' for text in ["text", *texts]).encode()
    assert read(content, "a.csv", text_format=TableFormat(","))[0] == [[text] for text in texts]


def test_a_last_row_without_a_line_end_may_span_lines(capsys: pytest.CaptureFixture[str]) -> None:
    for count, end in ((9, ""), (10, "\n")):
        rows = [["a" * 9, "joy"]] * count + [["so\nit is", "fear"]]
        content = "\n".join(['"text","label"', *(f'"{text}","{label}"' for text, label in rows)]) + end
        assert read(content.encode(), "last_row.csv", text_format=TableFormat(","))[0] == rows
        assert "a quoted field spans several lines" in capsys.readouterr().err


def test_rows_that_another_delimiter_fits_better_are_not_divided_in_silence() -> None:
    lines_of_commas = ["the; the;,joy", "the; the;,fear", '"so, so,",joy', "the; the;,joy", "the; the; bus,anger"]
    found = read("".join(f"{line}\n" for line in lines_of_commas).encode(), "a.csv")
    assert found == "a.csv may be separated by semicolons or by commas; set data.separator"
