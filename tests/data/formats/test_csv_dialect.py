"""Tables of text as people have them: read, with one line about what was found, or refused in one line."""

import contextlib
import encodings.aliases
from pathlib import Path
from typing import Any

import pytest

from emotion_lit.data.formats.readers import TableFormat, column_names, read_blocks
from emotion_lit.errors import UserError
from emotion_lit.utils.console import start_log

ROWS = [
    (f"the {thing} made me cry, number {number}", ("joy", "fear")[number % 2]) for number, thing in enumerate("abcdef")
]
PLAIN = "text,labels\n" + "".join(f'"{text}",{label}\n' for text, label in ROWS)


@pytest.fixture(autouse=True)
def _nothing_said() -> None:
    start_log()


def table(separator: str, header: str = "text{}labels\n") -> str:
    return header.format(separator) + "".join(f"{text}{separator}{label}\n" for text, label in ROWS)


def read(path: Path, **options: Any) -> tuple[tuple[str, ...], list[tuple[Any, ...]], list[tuple[str, str, Any]]]:
    rejects: list[tuple[str, str, Any]] = []
    blocks = list(read_blocks(str(path), on_error=lambda *one: rejects.append(one), **options))
    rows = [
        row for block in blocks for row in zip(*(block.values(name) for name in block.table.column_names), strict=True)
    ]
    return column_names(str(path), options.get("text_format", TableFormat())), rows, rejects


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", PLAIN.encode(), ""),
        ("A.CSV", PLAIN.encode("utf-8-sig"), ""),
        ("a.csv", PLAIN.replace("\n", "\r\n").encode(), ""),
        ("a.csv", PLAIN.replace("\n", "\r").rstrip().encode(), ""),
        ("a.csv", PLAIN.replace("text,labels", " text ,  labels").encode(), ""),
        ("a.csv", table(";").encode(), "fields separated by semicolons"),
        ("a.csv", table("\t").encode(), "fields separated by tabs"),
        ("a.csv", table("|").encode(), "fields separated by bars"),
        ("a.tsv", table("\t").encode(), ""),
        ("a.tsv", PLAIN.encode(), "fields separated by commas"),
        ("a.csv", ("sep=;\n" + table(";")).encode(), ""),
        ("a.csv", PLAIN.replace(",joy", ', "joy"').replace(",fear", ', "fear"').encode(), "spaces after separators"),
        ("a.csv", PLAIN.encode("utf-16"), "encoding utf-16-le"),
        ("a.csv", PLAIN.encode("utf-16-le"), "encoding utf-16-le"),
        ("a.csv", PLAIN.encode("utf-16-be"), "encoding utf-16-be"),
        ("a.csv", b"\xef\xbb\xbf\xef\xbb\xbf" + PLAIN.encode(), "a second byte-order mark"),
        ("a.csv", PLAIN.replace("\nthe b", "\n\ufeffthe b").replace('\n"the c', '\n\n"the c').encode(), ""),
    ],
)
def test_a_dialect_is_found_and_said_where_it_is_not_the_usual_one(
    tmp_path: Path, name: str, content: bytes, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    names, rows, rejects = read(tmp_path / name)
    said = capsys.readouterr().err
    assert (names, rows, rejects) == (("text", "labels"), ROWS, [])
    assert says in said
    assert said.count("\n") == bool(said)
    assert bool(says) or "sep=" in content.decode("latin-1") or not said


@pytest.mark.parametrize(
    ("content", "names", "rows"),
    [
        ("".join(f'"{text}",{label}\n' for text, label in ROWS), ("column_1", "column_2"), 6),
        ("so glad\t27\te1\nso mad\t2,3\te2\n", ("column_1", "column_2", "column_3"), 2),
        ('"text" "label"\n"1" "a b" "joy"\n"2" "c d" "fear"\n', ("index", "text", "label"), 2),
        (",text,label\n0,a b,joy\n1,c d,fear\n", ("column_1", "text", "label"), 2),
        ("text,label,\na b,joy\nc d,fear\n", ("text", "label"), 2),
        ("text,label\na b,joy,\nc d,fear,\n", ("text", "label", "column_3"), 2),
        ("0,1\na b,joy\nc d,fear\n", ("0", "1"), 2),
        ("text,label\n", ("text", "label"), 0),
        ("Satz,Gefühl\na b,froh\nc d,wütend\n", ("Satz", "Gefühl"), 2),
        ('text,label\n"he said ""no""",joy\nsay "yes" now,fear\n', ("text", "label"), 2),
        ('text\n"he said \\"no\\", and"\n"so"\n', ("text",), 2),
        ("text,label\na\0b,joy\n,\n,\n", ("text", "label"), 3),
    ],
)
def test_headers(tmp_path: Path, content: str, names: tuple[str, ...], rows: int) -> None:
    (tmp_path / "a.csv").write_text(content)
    setting = TableFormat(" ") if content.startswith('"text" "') else TableFormat()
    found = read(tmp_path / "a.csv", text_format=setting)
    assert (found[0], len(found[1]), found[2]) == (names, rows, [])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"text,label,text\na,b,c\n", "the column 'text' occurs twice"),
        ("a.csv", b"text, text \na,b\n", "the column 'text' occurs twice"),
        ("a.csv", b"how did you feel about the day\nit was a good day for me\n", "set data.header to true or false"),
        ("a.csv", b"one, x; joy\ntwo, x; fear\none, y; joy\ntwo, y; fear\n", "set data.separator"),
        ("a.csv", b'"text,label\na,b\n', "the first row cannot be read"),
        ("a.csv", b"PK\x03\x04rest", "a ZIP archive or an Excel workbook"),
        ("a.jsonl", b"\x1f\x8brest", "add .gz to its name"),
        ("a.csv", b"<!DOCTYPE html><html>", "a page of HTML"),
        ("a.txt", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
        ("a.xlsx", b"", "pandas.read_excel('"),
        ("a.pkl", b"", "pandas.read_pickle('"),
        ("a.db", b"", "sqlite3.connect('"),
        ("a.tar.gz", b"", "unpack it"),
        ("a.json", b'{"data": [{"text": "a"}]}', "['data']"),
        ("a.json", b'{"text": {"0": "a", "1": "b"}, "label": {"0": "c", "1": "d"}}', "pandas.read_json('"),
        ("a.json", b'[{"text": "a"}, {"text": ', "record 2 is not JSON"),
        ("a.json", b'[{"text": "a"}', "the end of the array is missing"),
        ("a.json", b'[{"text": "a"} {"text": "b"}]', "',' is missing"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_line(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as error:
        read(tmp_path / name)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("setting", [{"separator": "ab"}, {"separator": '"'}, {"encoding": "klingon"}])
def test_a_setting_that_cannot_be_is_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="data."):
        TableFormat(**setting)


def test_bytes_of_another_encoding_are_refused_unless_it_is_set(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("text,label\ncafé,joy\nso,fear\n".encode("cp1252"))
    _, rows, rejects = read(tmp_path / "a.csv")
    assert rows == [("so", "fear")]
    assert "line 2" in rejects[0][0]
    assert "data.encoding, such as cp1252" in rejects[0][1]
    assert read(tmp_path / "a.csv", text_format=TableFormat(encoding="cp1252"))[1] == [("café", "joy"), ("so", "fear")]
    (tmp_path / "b.csv").write_bytes(b"text,label\na\x81b,joy\n")
    assert "not cp1252" in read(tmp_path / "b.csv", text_format=TableFormat(encoding="cp1252"))[2][0][1]


@pytest.mark.parametrize("opened", [2, 5])
def test_every_line_after_an_open_quotation_mark_comes_out(
    tmp_path: Path, opened: int, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"{text.replace(',', '')},{label}" for text, label in ROWS]
    lines[opened] = '"' + lines[opened]
    (tmp_path / "a.csv").write_text("text,labels\n" + "\n".join(lines) + "\n")
    _, rows, rejects = read(tmp_path / "a.csv")
    assert len(rows) + len(rejects) == len(ROWS)
    assert rejects[0][0] == f"a.csv, line {opened + 2}"
    assert rejects[0][2] == lines[opened]
    assert (f"line {opened + 2}: a quoted field spans" in capsys.readouterr().err) == (opened == 2)


def test_a_field_of_several_lines_is_said_with_its_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text('text,labels\nbad day,fear\n"one\ntwo",joy\nx,fear\n')
    assert read(tmp_path / "a.csv")[1] == [("bad day", "fear"), ("one\ntwo", "joy"), ("x", "fear")]
    assert "a.csv, line 3: a quoted field spans several lines, to line 4" in capsys.readouterr().err


def test_a_table_without_quotation_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('text\tlabel\n"so it goes\tjoy\nno "way" out\tfear\n"yes" he said\tjoy\n')
    assert [row[0] for row in read(tmp_path / "a.tsv")[1]] == ['"so it goes', 'no "way" out', '"yes" he said']


def test_a_text_that_is_a_table_is_said_and_read_as_one_where_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text(table("\t", ""))
    assert len(read(tmp_path / "a.txt")[1]) == len(ROWS)
    assert "every line has a tab, as in a table" in capsys.readouterr().err
    assert read(tmp_path / "a.txt", text_format=TableFormat("tab", header=False))[:2] == (
        ("column_1", "column_2"),
        ROWS,
    )
    (tmp_path / "b.txt").write_text("one\ttwo\nthree\n")
    read(tmp_path / "b.txt")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("encoding", sorted({*encodings.aliases.aliases.values(), "idna", "punycode", "undefined"}))
@pytest.mark.parametrize(
    "content", [b"text,label\nso glad,joy\nso mad,fear\n", "text,label\nä ö,joy\n".encode("utf-16-le")]
)
def test_any_encoding_is_read_or_refused_in_a_line(tmp_path: Path, encoding: str, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with contextlib.suppress(UserError):
        read(tmp_path / "a.csv", text_format=TableFormat(encoding=encoding))


def test_a_text_that_ends_in_a_backslash_is_closed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text\n"one\n\\"\n')
    assert read(tmp_path / "a.csv")[1:] == ([("one\n\\",)], [])


@pytest.mark.parametrize("separator", [",", "\t", "|"])
def test_a_backslash_before_quotation_marks_is_found_whatever_separates(separator: str, tmp_path: Path) -> None:
    lines = [("text", "label"), ('"he said \\"hi\\" to me"', "joy"), ('"x"', "fear"), ("y", "joy")]
    (tmp_path / "a.csv").write_text("".join(separator.join(line) + "\n" for line in lines))
    assert [row[0] for row in read(tmp_path / "a.csv")[1]] == ['he said "hi" to me', "x", "y"]
