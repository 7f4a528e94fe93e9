import pytest

from emotion_lit.training.settings.aliases import ALIASES, nearest
from emotion_lit.training.settings.unused_settings import UNUSED, is_listed
from tests.conftest import failing
from tests.training.settings.test_unused_settings import parse


@pytest.fixture(scope="module")
def known() -> dict[str, list[str]]:
    return {
        command: [key for key, _ in parse(command)[1].get_defaults().items() if is_listed(command, key)]
        for command in UNUSED
    }


@pytest.mark.parametrize(
    ("command", "typed", "meant"),
    [
        ("fit", "model.lr", "model.learning_rate"),
        ("fit", "lr", "model.learning_rate"),
        ("fit", "learning_rate", "model.learning_rate"),
        ("fit", "learning-rate", "model.learning_rate"),
        ("fit", "model.learning_rat", "model.learning_rate"),
        ("fit", "epochs", "trainer.max_epochs"),
        ("fit", "trainer.epochs", "trainer.max_epochs"),
        ("fit", "num_train_epochs", "trainer.max_epochs"),
        ("fit", "max_epochs", "trainer.max_epochs"),
        ("fit", "batch_size", "data.batch_size"),
        ("fit", "per_device_train_batch_size", "data.batch_size"),
        ("fit", "seed", "seed_everything"),
        ("fit", "data.sed", "data.seed"),
        ("fit", "output", "trainer.default_root_dir"),
        ("fit", "output_dir", "trainer.default_root_dir"),
        ("fit", "input", "data.dataset"),
        ("fit", "resume_from_checkpoint", "ckpt_path"),
        ("fit", "model.lora_r", "model.lora.rank"),
        ("fit", "rank", "model.lora.rank"),
        ("fit", "modle.tuning", "model.tuning"),
        ("fit", "patience", "early_stopping.patience"),
        ("fit", "monitor", "checkpoint.monitor"),
        ("fit", "fp16", "trainer.precision"),
        ("predict", "output", "prediction.path"),
        ("predict", "input", "data.predict_path"),
        ("predict", "threshold", "model.threshold"),
        ("test", "output", "evaluation.path"),
        ("fit", "zebra", None),
    ],
)
def test_the_name_of_another_library_is_understood(
    known: dict[str, list[str]], command: str, typed: str, meant: str | None
) -> None:
    assert nearest(typed, known[command]) == meant


def test_aliases_name_settings_that_there_are(known: dict[str, list[str]]) -> None:
    of_tools = {"output", "overwrite", "push_to_hub", "backbone"}
    everything = {key for keys in known.values() for key in keys} | of_tools
    assert {key for keys in ALIASES.values() for key in keys} <= everything
    assert not set(ALIASES) & {"ckpt_path", "name", *of_tools} - {"output"}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["fit", "--model.learning_rat=1"], "--model.learning_rat=1. Did you mean model.learning_rate?"),
        (["fit", "--lr=1", "--epochs=2"], "Did you mean model.learning_rate, trainer.max_epochs?"),
        (["export", "--ckpt_pat=x", "--output=y"], "Did you mean ckpt_path?"),
        (["report", "--out=x", "y"], "Did you mean output?"),
        (["cache", "--clea=all"], "Did you mean clear?"),
    ],
)
def test_keys_are_not_abbreviated(capsys: pytest.CaptureFixture[str], arguments: list[str], line: str) -> None:
    assert line in failing(capsys, *arguments)
