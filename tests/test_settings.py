"""The reference of all settings is that of the parsers."""

from tests.settings import COMMANDS, FILE, reference


def test_the_reference_is_current() -> None:
    assert FILE.read_text(encoding="utf-8") == reference(), "type: python -m tests.settings"


def test_the_reference_has_the_settings_of_every_command() -> None:
    text = reference()
    for key in ("name", "data.dataset", "model.tuning", "prediction.path", "evaluation.path", "trainer.max_epochs"):
        assert f"| `{key}` |" in text
    assert all(command in text for command in COMMANDS)
