from pathlib import Path

import pytest

from emotion_lit.utils import console, failures
from emotion_lit.utils.redaction import redact

TOKEN = "hf_" + "aB3" * 11


def test_tokens_and_passwords_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "a-token-of-another-form")
    for text, wanted in (
        (f"fit --token {TOKEN} x", "fit --token *** x"),
        ("https://user:secret@host/data.csv", "https://***@host/data.csv"),
        ("Bearer a-token-of-another-form", "Bearer ***"),
        ("me@example.org, hf_hub, https://host/a@b, a/b@c", "me@example.org, hf_hub, https://host/a@b, a/b@c"),
    ):
        assert redact(text) == wanted


def test_no_token_is_in_a_log_or_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(failures, "run_folder", None)  # of an earlier test's run
    monkeypatch.setattr("sys.argv", ["emotion_lit", "fit", f"--data.dataset=https://user:secret@host/{TOKEN}"])
    console.start_log()
    console.say(f"{TOKEN} is wrong")
    console.keep_log(tmp_path / "run.log")
    failures.unexpected(ValueError(f"{TOKEN} at https://user:secret@host"))
    written = "".join(file.read_text() for file in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 2
    assert TOKEN not in written
    assert "secret" not in written
