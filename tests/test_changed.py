"""Which tests a change needs."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.changed import Budget, files_to_run, imports


def test_a_module_brings_its_mirror_and_the_tests_that_import_it() -> None:
    found = list(files_to_run(["emotion_lit/model/decision.py"]))
    assert found[0] == "tests/model/test_decision.py"
    assert "tests/data/test_tokenization.py" not in found


def test_a_test_brings_itself_and_other_files_their_own() -> None:
    assert list(files_to_run(["tests/utils/test_files.py"])) == ["tests/utils/test_files.py"]
    assert list(files_to_run(["README.md", "pyproject.toml"])) == ["tests/test_readme.py", "tests/test_packaging.py"]
    assert not list(files_to_run(["tests/utils/test_that_was_removed.py"]))


def test_imports_are_found_inside_functions(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("import a.b\ndef f():\n    from c import d\n")
    assert imports(file) == {"a.b", "c", "c.d"}


def test_tests_that_train_come_last_and_the_time_ends_the_session() -> None:
    items: list[Any] = [SimpleNamespace(fixturenames=names) for names in (["tiny_run"], ["tmp_path"])]
    session: Any = SimpleNamespace(items=items, shouldstop=False)
    budget = Budget(seconds=0)
    budget.pytest_collection_finish(session)
    assert items[0].fixturenames == ["tmp_path"]
    budget.end -= 1
    with pytest.raises(pytest.skip.Exception):
        budget.pytest_runtest_setup(SimpleNamespace(session=session))  # type: ignore[arg-type]
    assert session.shouldstop.startswith("2 tests are left")
    assert budget.exit_code(2) == 0
    budget.pytest_runtest_logreport(SimpleNamespace(failed=True))  # type: ignore[arg-type]
    assert budget.exit_code(2) == 1
