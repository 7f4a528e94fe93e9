import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emotion_lit.data.formats import files, lines
from emotion_lit.data.formats.records import read_records, record_files
from emotion_lit.errors import UserError


def texts(path: Path) -> list[str]:
    return [record["text"] for _, record in read_records(str(path))]


def test_every_format_gives_the_same_texts(tmp_path: Path) -> None:
    wanted = ['plain "quoted", with comma', "second"]
    (tmp_path / "a.txt").write_text("\n".join(wanted) + "\n")
    (tmp_path / "a.csv").write_text('text\n"plain ""quoted"", with comma"\nsecond\n')
    (tmp_path / "a.jsonl").write_text('{"text": "plain \\"quoted\\", with comma"}\n\n{"text": "second"}\n')
    pq.write_table(pa.table({"text": wanted}), tmp_path / "a.parquet")
    for suffix in ("txt", "csv", "jsonl", "parquet"):
        assert texts(tmp_path / f"a.{suffix}") == wanted, suffix


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "fine"}\n{"text": \n', "a.jsonl, line 2 is not JSON"),
        ("a.jsonl", b"[1]\n", "a.jsonl, line 1 is not a JSON object"),
        ("a.csv", b"text,label\nfine,1\none,two,three\n", "a.csv, line 3 has 3 fields, but the header has 2"),
        ("a.csv", b'text\n"never closed\n', "a.csv, line 2 cannot be read"),
        ("a.csv", b"", "a.csv is empty"),
        ("a.txt", b"fine\nna\xefve\n", "a.txt, line 2: byte 0xef is not UTF-8 (character 3)"),
        ("a.parquet", b"not parquet", "a.parquet is not a readable parquet file"),
        ("a.doc", b"", "is not one of .csv, .tsv, .jsonl"),
    ],
)
def test_an_unreadable_row_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as error:
        list(read_records(str(tmp_path / name)))
    assert message in str(error.value)


def test_a_folder_is_read_in_order_of_names(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "README.md"):
        (tmp_path / name).write_text(name)
    assert [Path(file).name for file in record_files(str(tmp_path))] == ["a.txt", "b.txt"]


def test_a_folder_without_texts_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no file"):
        record_files(str(tmp_path))


def test_compressed_files_give_the_same_texts(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "a.csv").write_text("text\none\ntwo\n")
    pq.write_table(pa.table({"text": ["one", "two"]}), tmp_path / "a.parquet")
    for suffix in ("txt", "csv", "parquet"):
        content = (tmp_path / f"a.{suffix}").read_bytes()
        (tmp_path / f"a.{suffix}.gz").write_bytes(gzip.compress(content))
        with pa.output_stream(str(tmp_path / f"a.{suffix}.zst"), compression="zstd") as file:
            file.write(content)
        assert texts(tmp_path / f"a.{suffix}.gz") == texts(tmp_path / f"a.{suffix}.zst") == ["one", "two"]
    assert len(record_files(str(tmp_path))) == 9


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"one\n" * 1000)[:-20])
    with pytest.raises(UserError, match=r"a.txt.gz is truncated or damaged"):
        texts(tmp_path / "a.txt.gz")


def test_a_folder_has_one_order_on_every_system(tmp_path: Path) -> None:
    for name in ("a/2.txt", "a0.txt", "a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text\n")
    wanted = ["a.txt", "a/2.txt", "a0.txt"]  # a backslash would come after the digit
    assert [Path(file).relative_to(tmp_path).as_posix() for file in record_files(str(tmp_path))] == wanted


def test_a_link_that_leaves_the_folder_is_left_out_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "secret.txt").write_text("secret\n")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "b.txt").write_text("secret\n")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.txt").write_text("text\n")
    (folder / "inside.txt").symlink_to("a.txt")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "links").symlink_to(tmp_path / "secrets")
    assert [Path(file).name for file in record_files(str(folder))] == ["a.txt", "inside.txt"]
    assert capsys.readouterr().err.count("is a link to a place outside of") == 1


def test_the_hubs_cache_is_a_folder_of_links(tmp_path: Path) -> None:
    (tmp_path / "datasets--a--b" / "blobs").mkdir(parents=True)
    (tmp_path / "datasets--a--b" / "blobs" / "1f").write_text("text\n")
    snapshot = tmp_path / "datasets--a--b" / "snapshots" / "5e"
    snapshot.mkdir(parents=True)
    (snapshot / "a.txt").symlink_to("../../blobs/1f")
    assert len(record_files(str(snapshot))) == 1


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_a_line_that_is_too_long_is_one_bad_row(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST", 100)
    long = "x" * 1000
    written = [f'{{"text": "{text}"}}' if name == "a.jsonl" else text for text in ("one", long, "two", long)]
    (tmp_path / name).write_text("\n".join(written))
    rejects: list[str] = []
    found = read_records(
        str(tmp_path / name), on_error=lambda where, reason, content: rejects.append(f"{where}: {reason}")
    )
    assert [record["text"] for _, record in found] == ["one", "two"]
    assert [reject.split(": is longer than")[0] for reject in rejects] == [f"{name}, line 2", f"{name}, line 4"]


@pytest.mark.parametrize("content", ['text\n"' + "x" * 1000 + '"\n', 'text\n"' + "x\n" * 500 + '"\nnext\n'])
def test_a_row_that_is_too_long_ends_a_csv(tmp_path: Path, content: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST", 100)
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(UserError, match="a row is longer than"):
        list(read_records(str(tmp_path / "a.csv"), on_error=lambda *_: None))


@pytest.mark.parametrize("deep", ["[" * 900 + "]" * 900, '{"a":' * 900 + "1" + "}" * 900, "[" * 10**6])
def test_json_in_many_levels_is_one_bad_row(tmp_path: Path, deep: str) -> None:
    (tmp_path / "a.jsonl").write_text(
        f'{{"text": "one", "more": {deep}}}\n{{"text": "two [[[[", "more": [[1], [2]]}}\n'
    )
    rejects: list[str] = []
    found = read_records(str(tmp_path / "a.jsonl"), on_error=lambda where, reason, content: rejects.append(where))
    assert [record["text"] for _, record in found] == ["two [[[["]
    assert rejects == ["a.jsonl, line 1"]


def test_of_parquet_only_needed_columns_are_read(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["one"], "id": [7], "more": ["x"]}), tmp_path / "a.parquet")
    found = read_records(str(tmp_path / "a.parquet"), columns={"text", "id", "missing"})
    assert [record for _, record in found] == [{"text": "one", "id": 7}]


def test_compressed_parquet_is_unpacked_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_UNPACKED", 2**20)
    (tmp_path / "a.parquet.gz").write_bytes(gzip.compress(bytes(2**23)))
    with pytest.raises(UserError, match="unpack it yourself"):
        texts(tmp_path / "a.parquet.gz")
