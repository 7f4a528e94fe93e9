"""Reading two of a file's columns, against pyarrow's own readers, in turns; and the memory that it takes.

python -m tests.benchmarks.reading --rows 1000000
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.json as arrow_json
import pyarrow.parquet as pq

from emotion_lit.data.formats.readers import read_blocks
from emotion_lit.utils.memory import peak_memory_mb
from tests.benchmarks.turns import Measures, publish, ratios, run_module, spread, take_turns

COLUMNS = ["text", "label"]
NAMES = ["anger", "fear", "joy", "love", "sadness", "surprise"]
WORDS = "the a I you we old new bus shop tree sister rain left cried smiled today tonight, “well” café so very".split()  # noqa: SIM905
PART = 50_000
FORMATS = ("csv", "quoted.csv", "jsonl", "parquet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", help="A file for the JSON.")
    parser.add_argument("--file", type=Path, help="Only reads a file, and prints the peak of the memory.")
    options = parser.parse_args()
    if options.file:
        rows = _ours(options.file)
        sys.stdout.write(json.dumps({"rows": rows, "peak_memory_mb": peak_memory_mb()}) + "\n")
        return
    with tempfile.TemporaryDirectory() as folder:
        results, table = measured(Path(folder), options.rows, options.rounds)
    publish("reading", table, results, options.output)


def measured(folder: Path, rows: int, rounds: int) -> tuple[dict[str, Any], list[list[str]]]:
    """The measures by kind of file, and a table of them.

    Args:
        folder: Where files are written to.
        rows: How many rows they have.
        rounds: How often each is read.
    """
    results: dict[str, Any] = {}
    table = [["kind", "MB", "ours, s", "pyarrow, s", "ours / pyarrow", "peak MB, a tenth", "peak MB, all"]]
    for kind in FORMATS:
        file = write(folder / f"rows.{kind}", rows)
        tenth = write(folder / f"tenth.{kind}", rows // 10)
        peers: dict[str, Callable[[], Measures]] = {
            "ours": partial(_timed, _ours, file, rows),
            "pyarrow": partial(_timed, _PEERS[kind.split(".")[-1]], file, rows),
        }
        turns = take_turns(peers, rounds)
        memory = [json.loads(run_module("tests.benchmarks.reading", "--file", str(one))[0]) for one in (tenth, file)]
        results[kind] = {**turns, "memory": memory}
        table.append(
            [
                kind,
                f"{file.stat().st_size / 1e6:,.0f}",
                *(spread([one["seconds"] for one in turns[name]]) for name in ("ours", "pyarrow")),
                spread(ratios(turns, "pyarrow", "ours", "seconds")),
                *(f"{one['peak_memory_mb']:,.0f}" for one in memory),
            ]
        )
        file.unlink()
        tenth.unlink()
    return results, table


def write(file: Path, rows: int) -> Path:
    """Writes a file of invented rows.

    Args:
        file: The file; its suffix decides how.
        rows: How many.
    """
    draw = random.Random(1)
    pieces = [" ".join(draw.choices(WORDS, k=draw.randint(5, 25))) for _ in range(PART)]
    table = pa.table(
        {
            "id": [f"row-{number}" for number in range(PART)],
            "text": [f'{piece} "so", he said' if "quoted" in file.name else piece for piece in pieces],
            "source": draw.choices(["chat", "diary", "forum"], k=PART),
            "label": draw.choices(NAMES, k=PART),
            "score": [draw.random() for _ in range(PART)],
            "note": pieces[::-1],
        }
    )
    lines = "".join(json.dumps(row) + "\n" for row in table.to_pylist()) if file.suffix == ".jsonl" else ""
    with file.open("wb") as out:
        made = _writer(file, out, table.schema)
        for start in range(0, rows, PART):
            if made is None:
                out.write(lines.encode())
            else:
                made.write_table(table.slice(0, rows - start))
        if made is not None:
            made.close()
    return file


def _writer(file: Path, out: Any, schema: pa.Schema) -> Any:
    if file.suffix == ".parquet":
        return pq.ParquetWriter(out, schema)
    return arrow_csv.CSVWriter(out, schema) if file.suffix == ".csv" else None


def _timed(read: Callable[[Path], int], file: Path, rows: int) -> Measures:
    start = time.perf_counter()
    assert read(file) == rows
    return {"seconds": time.perf_counter() - start}


def _ours(file: Path) -> int:
    return sum(block.table.num_rows for block in read_blocks(str(file), COLUMNS))


def _csv(file: Path) -> int:
    options = arrow_csv.ConvertOptions(include_columns=COLUMNS, column_types=dict.fromkeys(COLUMNS, pa.string()))
    return int(arrow_csv.read_csv(file, convert_options=options).num_rows)


def _json(file: Path) -> int:
    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    options = arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    return int(arrow_json.read_json(file, parse_options=options).num_rows)


def _parquet(file: Path) -> int:
    with pq.ParquetFile(file) as parquet:
        return sum(batch.num_rows for batch in parquet.iter_batches(columns=COLUMNS))


_PEERS: dict[str, Callable[[Path], int]] = {"csv": _csv, "jsonl": _json, "parquet": _parquet}


if __name__ == "__main__":
    main()
