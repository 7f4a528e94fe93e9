"""Small files that unpack to large ones: they end in a line, in the memory that is said."""

import gzip
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import failing

MIB = 2**20
# In MiB, besides the libraries. There are a few copies of the longest line.
MOST = 300
READ = """
import re, sys
from pathlib import Path
from emotion_lit.data.formats.records import read_records
from emotion_lit.errors import UserError
import pyarrow.parquet
def highest():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
start = highest()
rejects, rows = [], 0
try:
    for _ in read_records(sys.argv[1], on_error=lambda *one: rejects.append(one[1]), columns={"text", "id"}):
        rows += 1
except UserError as error:
    rejects.append(str(error))
print(rows, (highest() - start) // 1024, *rejects[:1])
"""


def packed(file: Path, head: bytes, piece: bytes, times: int, tail: bytes) -> None:
    with gzip.open(file, "wb", compresslevel=1) as out:
        out.write(head)
        for _ in range(times):
            out.write(piece)
        out.write(tail)


def make(file: Path) -> None:
    """A file of few bytes and a lot of content."""
    name = file.name
    if name == "line.txt.gz":
        packed(file, b"one\n", b"x" * MIB, 200, b"\ntwo\n")
    elif name == "line.jsonl.gz":
        packed(file, b'{"text": "one"}\n{"text": "', b"x" * MIB, 200, b'"}\n{"text": "two"}\n')
    elif name == "field.csv.gz":
        packed(file, b'text\none\ntwo\n"', b"x" * MIB, 100, b'"\n')
    elif name == "lines.csv.gz":
        packed(file, b'text\none\ntwo\n"', (b"x" * 63 + b"\n") * (MIB // 64), 100, b'"\n')
    elif name == "columns.parquet":
        wide = {f"column {number}": ["x" * 100] * 500 for number in range(3000)}
        pq.write_table(pa.table({"text": ["one", "two"] * 250, **wide}), file, row_group_size=500)
    else:
        packed(file, b"", b"one\ntwo\n" * (MIB // 8), 300, b"")


@pytest.mark.skipif(sys.platform != "linux", reason="measures with /proc")
@pytest.mark.parametrize(
    ("name", "rows", "says"),
    [
        ("line.txt.gz", 2, "is longer than 16,777,216 bytes"),
        ("line.jsonl.gz", 2, "is longer than 16,777,216 bytes"),
        ("field.csv.gz", 2, "a row is longer than 16,777,216 bytes"),
        ("lines.csv.gz", 2, "a row is longer than 16,777,216 bytes"),
        ("columns.parquet", 500, ""),
    ],
)
def test_what_is_read_takes_bounded_memory(tmp_path: Path, name: str, rows: int, says: str) -> None:
    make(tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path / name)], capture_output=True, text=True, check=True
    )
    found, peak, *line = done.stdout.split(" ", 2)
    print(f"{name}: {peak.strip()} MiB")
    assert int(found) == rows
    assert says in (line[0] if line else "")
    assert int(peak) < MOST


LAUGHS = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
LAUGHS += [f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 9)}]" for number in range(1, 9)]
BOMBS = {
    "aliases": "\n".join(LAUGHS),
    "an alias of itself": "name: &a [*a]",
    "levels": "name: " + "[" * 5000 + "]" * 5000,
    "a large one": "name: " + "x" * 2 * MIB,
    "values": "name: [" + "1," * 200_000 + "]",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_configuration_is_of_the_size_of_one(bomb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bomb.yaml").write_text(BOMBS[bomb])
    line = failing(capsys, "fit", f"--config={tmp_path}/bomb.yaml")
    assert (
        "for configurations" in line or "exceeded maximum nesting depth" in line
    )  # some builds of PyYAML have a bound
