"""Columns that predict hands on: their values and types in each format, whatever they came in."""

import csv
import datetime
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emotion_lit.cli import main
from tests.conftest import failing

ZONE = datetime.timezone(datetime.timedelta(hours=2))
NOON = datetime.datetime(2024, 5, 1, 12, 30, tzinfo=datetime.UTC)
COLUMNS: dict[str, pa.Array] = {
    "zoned": pa.array([NOON, None, NOON], pa.timestamp("ms", "Europe/Berlin")),
    "plain_time": pa.array([datetime.datetime(2024, 5, 1), None, None], pa.timestamp("us")),
    "far": pa.array([400_000_000_000, None, 0], pa.timestamp("s")).cast(pa.timestamp("ms")),
    "day": pa.array([datetime.date(2024, 5, 1), None, None], pa.date32()),
    "price": pa.array([Decimal("12.50"), None, Decimal("-0.01")], pa.decimal128(12, 2)),
    "vector": pa.array([[0.5, float("nan")], None, []], pa.list_(pa.float32())),
    "nested": pa.array([{"a": 1, "b": ["x"]}, None, {"a": None, "b": []}]),
    "kind": pa.array(["x", None, "x"]).dictionary_encode(),
    "raw": pa.array([b"\x00\xff", None, b""]),
    "number": pa.array([float("nan"), None, float("inf")]),
    "small": pa.array([1, None, 3], pa.int8()),
    "nothing": pa.nulls(3),
    "flag": pa.array([True, None, False]),
    "long": pa.array(["a", None, "b"], pa.large_string()),
    "id": pa.array([2**63, None, 7], pa.uint64()),
}


def predict(run: Path, source: Path, target: Path, *columns: str, more: tuple[str, ...] = ()) -> None:
    words = [f"--data.predict_path={source}", f"--prediction.path={target}", "--prediction.probabilities=false"]
    main(["predict", f"--ckpt_path={run}", *words, f"--data.keep_columns={json.dumps(columns)}", *more])


def read_lines(path: Path) -> list[dict[str, Any]]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("types") / "in.parquet"
    pq.write_table(pa.table({"text": ["fine", "odd", "so so"], **COLUMNS}), file)
    return file


FAR = pa.array([400_000_000_000_000, None], pa.timestamp("ms"))
ODD: dict[str, pa.Array] = {
    "far": pa.StructArray.from_arrays([FAR], ["at"]),
    "all_far": pa.ListArray.from_arrays([0, 1, 2], FAR),
    "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
    "pair": pa.array([[1, 2], None], pa.list_(pa.int8(), 2)),
    "view": pa.array(["x", None], pa.string_view()),
    "views": pa.array([["x"], None], pa.list_(pa.string_view())),
    "span": pa.array([90, None], pa.duration("s")),
    "months": pa.array([pa.MonthDayNano([1, 2, 3]), None]),
    "either": pa.UnionArray.from_dense(
        pa.array([0, 1], pa.int8()), pa.array([0, 0], pa.int32()), [pa.array([1]), pa.array(["x"])]
    ),
}


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_types_that_few_files_have_come_through(suffix: str, tiny_run: Path, tmp_path: Path) -> None:
    table = pa.table({"text": pa.array(["fine", "odd"], pa.string_view()), **ODD})
    with pa.ipc.new_file(tmp_path / "in.arrow", table.schema) as file:
        file.write_table(table)
    predict(tiny_run, tmp_path / "in.arrow", tmp_path / f"out.{suffix}", *ODD)
    if suffix == "parquet":
        assert pq.read_table(tmp_path / "out.parquet")["span"].to_pylist()[0] == datetime.timedelta(seconds=90)
        return
    first, _ = read_lines(tmp_path / "out.jsonl")
    assert first["far"]["at"].startswith("14645-")
    assert first["all_far"][0].startswith("14645-")
    assert (first["text"], first["pair"], first["view"], first["views"]) == ("fine", [1, 2], "x", ["x"])
    assert (first["map"], first["span"], first["either"]) == ([["k", 1]], 90, 1)


KEPT = [name for name in COLUMNS if name != "id"]


def test_parquet_keeps_the_types(tiny_run: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emotion_lit.data.streaming.WINDOW", 2)  # parts are joined
    predict(tiny_run, table, tmp_path / "out.parquet", *KEPT)
    found, given = pq.read_table(tmp_path / "out.parquet"), pq.read_table(table)
    for name in KEPT:
        assert found.schema.field(name).type == given.schema.field(name).type, name
        assert str(found.column(name).combine_chunks()) == str(given.column(name).combine_chunks()), name
    assert found.column("id").to_pylist() == [str(2**63), None, "7"]


def test_json_lines_and_csv_have_readable_values(tiny_run: Path, table: Path, tmp_path: Path) -> None:
    predict(tiny_run, table, tmp_path / "out.jsonl", *KEPT)
    first, second, third = read_lines(tmp_path / "out.jsonl")
    assert first["zoned"] == "2024-05-01T14:30:00+02:00"
    assert (first["plain_time"], first["day"], first["price"]) == ("2024-05-01T00:00:00", "2024-05-01", "12.50")
    assert first["far"].startswith("14645-")
    assert (first["vector"], first["nested"], first["kind"]) == ([0.5, None], {"a": 1, "b": ["x"]}, "x")
    assert (first["raw"], first["number"], first["small"], first["flag"]) == ("AP8=", None, 1, True)
    assert {second[name] for name in KEPT} == {None}
    assert (third["price"], third["number"], third["id"], first["id"]) == ("-0.01", None, 7, 2**63)
    predict(tiny_run, table, tmp_path / "out.csv", *KEPT)
    with (tmp_path / "out.csv").open(newline="") as file:
        one, two, three = csv.DictReader(file)
    assert (one["zoned"], one["day"], one["price"]) == (first["zoned"], first["day"], "12.50")
    assert (one["vector"], one["nested"], one["raw"]) == ("[0.5, null]", '{"a": 1, "b": ["x"]}', "AP8=")
    assert (one["number"], three["number"], {two[name] for name in KEPT}) == ("", "inf", {""})


def test_a_key_that_some_lines_leave_out_is_null(tiny_run: Path, tmp_path: Path) -> None:
    rows = [{"text": "fine"}, {"text": "odd", "likes": 3, "place": "here"}, {"text": "so so", "likes": float("nan")}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    predict(tiny_run, tmp_path / "in.jsonl", tmp_path / "out.jsonl", "likes", "place")
    found = read_lines(tmp_path / "out.jsonl")
    assert [(row["likes"], row["place"]) for row in found] == [(None, None), (3, "here"), (None, None)]


@pytest.mark.parametrize("name", ["in.jsonl", "in.csv"])
def test_a_column_that_no_line_has_is_a_mistake(
    name: str, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / name
    lines = {"in.jsonl": '{"text": "fine", "key": 1}\n{"text": "odd"}\n', "in.csv": "text,key\nfine,1\nodd,2\n"}
    source.write_text(lines[name])
    words = ("predict", f"--ckpt_path={tiny_run}", f"--data.predict_path={source}")
    target = f"--prediction.path={tmp_path / 'out.csv'}"
    skip = "--prediction.on_error=skip"
    assert "column 'kay' is not known" in failing(capsys, *words, target, "--data.keep_columns=[kay]")
    message = failing(capsys, *words, target, "--data.id_column=kez", skip)
    assert (
        f"{name}: column 'kez' is not known; did you mean 'key'? Available: text, key. Name it with data.id_column."
        in message
    )
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("ids", "written"),
    [
        (["007", "7", " 7"], ["007", "7", " 7"]),
        ([2**70, 1, -3], [2**70, 1, -3]),
        ([1.0, 2.5, None], [1.0, 2.5, None]),
        (["a", 1, True], ["a", 1, True]),
    ],
)
def test_ids_stay_what_they_are(ids: list[Any], written: list[Any], tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"id": one, "text": "fine"}) + "\n" for one in ids))
    predict(tiny_run, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    found = [row["id"] for row in read_lines(tmp_path / "out.jsonl")]
    assert [(type(one), one) for one in found] == [(type(one), one) for one in written]


def test_rows_and_rejects_are_all_rows(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emotion_lit.data.streaming.WINDOW", 7)
    lines = [f'{{"text": "row {n}", "id": {n}}}' if n % 3 else f'{{"text": "row {n}", ' for n in range(60)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n")
    predict(tiny_run, tmp_path / "in.jsonl", tmp_path / "out.jsonl", more=("--prediction.on_error=skip",))
    rows, rejects = read_lines(tmp_path / "out.jsonl"), read_lines(tmp_path / "out.jsonl.rejects.jsonl")
    assert [row["id"] for row in rows] == [n for n in range(60) if n % 3]
    assert [one["where"] for one in rejects] == [f"in.jsonl, line {n + 1}" for n in range(0, 60, 3)]
    assert [one["content"] for one in rejects] == lines[::3]


def test_every_line_of_a_csv_with_an_open_quote_comes_out(tiny_run: Path, tmp_path: Path) -> None:
    lines = [f'{n},"text {n}"' if n != 20 else '20,"an open one' for n in range(60)]
    (tmp_path / "in.csv").write_text("id,text\n" + "\n".join(lines) + "\n")
    predict(tiny_run, tmp_path / "in.csv", tmp_path / "out.jsonl", more=("--prediction.on_error=skip",))
    rows, rejects = read_lines(tmp_path / "out.jsonl"), read_lines(tmp_path / "out.jsonl.rejects.jsonl")
    assert len(rows) + len(rejects) == 60
    assert all(reject["content"] for reject in rejects)
