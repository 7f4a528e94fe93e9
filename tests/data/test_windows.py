"""Windows: no row is lost, none is doubled, whatever is between them."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emotion_lit.data import windows
from emotion_lit.data.formats.blocks import Reject
from emotion_lit.data.window_reader import FOUND, WindowReader
from emotion_lit.data.windows import Window, WindowBuilder


def read(file: Path, most: int, **more: object) -> list[Window]:
    given = {"text_column": None, "columns": [], "id_column": "id", "text_format": FOUND, **more}
    return list(WindowReader([str(file)], on_error=lambda *_: None, **given).read(most))  # type: ignore[arg-type]


GOOD = st.fixed_dictionaries({"text": st.one_of(st.none(), st.text(max_size=20)), "id": st.integers(0, 2**40)})
BAD = st.sampled_from(['{"text": ', "[1, 2]", "nope", '"text"'])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.one_of(GOOD, BAD), min_size=1, max_size=40), most=st.integers(1, 9))
def test_rows_and_rejects_are_the_lines_in_their_order(
    rows: list[dict[str, object] | str], most: int, tmp_path: Path
) -> None:
    file = tmp_path / "in.jsonl"
    rows = [{"text": "first", "id": 0}, *rows]
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = read(file, most)
    good = [(number, row) for number, row in enumerate(rows) if not isinstance(row, str)]
    assert [row for window in found for row in window.rows] == [number for number, _ in good]
    assert [text for window in found for text in window.values("text")] == [row["text"] for _, row in good]
    assert [one for window in found for one in window.values("id")] == [row["id"] for _, row in good]
    assert [one.content for window in found for one in window.rejects] == [row for row in rows if isinstance(row, str)]
    assert all(len(window) + len(window.rejects) == most for window in found[:-1])
    assert [window.digest for window in read(file, most)] == [window.digest for window in found]


def test_a_digest_is_of_all_that_is_handed_on_and_of_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    rows: list[dict[str, object]] = [
        {"text": "fine", "id": 1, "kept": [1, None], "other": 1},
        {"text": None, "id": 2, "kept": [], "other": 2},
    ]

    def digest(*changes: tuple[int, str, object]) -> str:
        changed = [dict(row) for row in rows]
        for row, key, value in changes:
            changed[row][key] = value
        file.write_text("".join(json.dumps(row) + "\n" for row in changed))
        return read(file, 10, columns=["kept"])[-1].digest

    plain = digest()
    assert digest((0, "other", 7)) == plain
    changes: list[tuple[int, str, object]] = [
        (0, "text", "fime"),
        (1, "text", ""),
        (1, "id", 3),
        (0, "kept", [1, 0]),
        (0, "kept", [None, 1]),
        (1, "kept", None),
        (1, "kept", [1]),
    ]
    found = [digest(change) for change in changes]
    assert len({plain, *found}) == 1 + len(changes)


def test_a_digest_is_of_rejects_too(tmp_path: Path) -> None:
    def digest(*lines: str) -> str:
        (tmp_path / "in.jsonl").write_text("\n".join(['{"text": "fine"}', *lines]) + "\n")
        return read(tmp_path / "in.jsonl", 10)[-1].digest

    found = [digest(), digest("nope"), digest("nape"), digest("", "nope"), digest("nope", "nope"), digest("[1]")]
    assert len(set(found)) == len(found)
    assert digest("nope") == found[1]


def test_the_reason_for_a_reject_may_be_put_in_other_words() -> None:
    def digest(reason: str, content: str = "{") -> str:
        builder = WindowBuilder(0, 10, hashlib.sha256())
        builder.add_reject(Reject("in.jsonl, line 1", reason, content))
        return builder.build().digest

    assert digest("this is not JSON") == digest("it is not JSON")
    assert digest("this is not JSON") != digest("this is not JSON", "[")


def test_long_rows_end_a_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "WINDOW_CHARACTERS", 100)
    (tmp_path / "in.txt").write_text("".join(f"{'x' * size}\n" for size in (10, 10, 90, 5, 300, 5)))
    assert [window.rows.tolist() for window in read(tmp_path / "in.txt", 50)] == [[0, 1, 2], [3, 4], [5]]
