"""Sweeps through the command line: what they keep, what they compare, and how they go on."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from emotion_lit.cli import main
from emotion_lit.sweep import run
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.training.run import fit
from emotion_lit.utils import signals
from tests.conftest import SMALL, Train, failing, leave_out_figures

HEAD = ["--model.tuning=head", "--trainer.deterministic=true"]
SPACE = {
    "model.head_learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "model.pooling": ["mean", "cls"],
    "trainer.max_epochs": {"low": 1, "high": 3},
}
WORDS = ["sweep", *SMALL, *HEAD, "--name=small", f"--sweep.space={json.dumps(SPACE)}"]


def sweep(folder: Path, *words: str) -> Path:
    main([*WORDS, f"--trainer.default_root_dir={folder}", *words])
    return folder / "small_sweep"


def trials_in(folder: Path, name: str = "small") -> list[FrozenTrial]:
    storage = JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    return optuna.load_study(study_name=name, storage=storage).get_trials()


def without_failed(folder: Path) -> list[tuple[dict[str, Any], float | None]]:
    return [(one.params, one.value) for one in trials_in(folder) if one.state != TrialState.FAIL]


@pytest.fixture(scope="module")
def scored() -> list[str]:
    """The splits that were scored while `swept` ran, and when trials began."""
    return []


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, scored: list[str]) -> Path:
    """A sweep of three trials."""
    loader = EmotionDataModule.evaluation_dataloader

    def watched(self: EmotionDataModule, split: str, *args: Any, **kwargs: Any) -> Any:
        scored.append(split)
        return loader(self, split, *args, **kwargs)

    def began(*args: Any, **kwargs: Any) -> Any:
        scored.append("trial")
        return fit(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        leave_out_figures(patch)
        patch.setattr(EmotionDataModule, "evaluation_dataloader", watched)
        patch.setattr(run, "fit", began)
        return sweep(tmp_path_factory.mktemp("logs"), "--trials=3")


def test_trial_0_is_an_ordinary_run_of_the_configuration_as_given(swept: Path, train: Train) -> None:
    given = trials_in(swept)[0]
    config = yaml.safe_load((swept / "trial_0" / "version_0" / "config.yaml").read_text())
    assert config["model"]["head_learning_rate"] is None
    assert given.params == {"model.head_learning_rate": 3e-4, "model.pooling": "mean", "trainer.max_epochs": 2}
    report = json.loads((train(*HEAD) / "report.json").read_text())
    assert given.value == pytest.approx(report["after"]["validation"]["macro_f1"], abs=1e-6)


def test_the_test_split_is_scored_once_and_after_all_trials(swept: Path, scored: list[str]) -> None:
    assert scored.count("trial") == 3
    assert "test" not in scored[: len(scored) - scored[::-1].index("trial")]
    best = max((one for one in trials_in(swept) if one.value is not None), key=lambda one: (one.value, -one.number))
    compared = {0, best.number}
    assert {int(file.parts[-3].split("_")[1]) for file in swept.glob("*/*/evaluation.json")} == compared
    assert {int(file.parts[-4].split("_")[1]) for file in swept.glob("*/*/checkpoints/*.ckpt")} == compared
    assert not list(swept.glob("*/*/report.json"))


def test_the_best_configuration_is_one_that_fit_takes(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    best = max((one for one in trials_in(swept) if one.value is not None), key=lambda one: (one.value, -one.number))
    with pytest.raises(SystemExit, match="^0$"):
        main(["fit", "--config", str(swept / "best.yaml"), "--print_config"])
    config = yaml.safe_load(capsys.readouterr().out)
    for key, value in best.user_attrs["values"].items():
        block, name = key.split(".")
        assert config[block][name] == value
    assert config["data"]["train_size"] == 140
    assert config["report"]["enabled"] is True


def test_the_page_holds_everything_and_loads_nothing(swept: Path) -> None:
    page = (swept / "sweep.html").read_text()
    assert page.count("data:image/svg+xml;base64,") == 4
    assert not re.search(r"<script|<link|src=\"(?!data:)", page)
    assert "model.head_learning_rate" in page
    assert "0 (as given)" in page
    assert "--data.train_size 100%" in page


def test_every_trial_is_under_hparams(swept: Path) -> None:
    for number in range(3):
        events = EventAccumulator(str(swept / f"trial_{number}" / "version_0")).Reload()
        assert "sweep/score" in events.Tags()["scalars"]
        assert "_hparams_/session_start_info" in events.summary_metadata


def test_an_interrupted_sweep_goes_on_as_if_it_had_not_been(
    swept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = []

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            raise signals.Stop(signals.INTERRUPT)
        return fit(*args, **kwargs)

    monkeypatch.setattr(run, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path, "--trials=3")
    assert "the same command resumes" in capsys.readouterr().err
    folder = sweep(tmp_path, "--trials=3")
    assert without_failed(folder) == without_failed(swept)
    assert [one.state for one in trials_in(folder)].count(TrialState.FAIL) == 1
    before = len(calls)
    sweep(tmp_path, "--trials=3")  # which has ended
    assert len(calls) == before


def test_other_settings_under_the_same_name_are_refused(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = failing(capsys, *WORDS, f"--trainer.default_root_dir={swept.parent}", "--data.train_size=120")
    assert "was started with other settings (data.train_size)" in line


def test_a_budget_shorter_than_one_trial_says_how_long_one_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = failing(capsys, *WORDS, f"--trainer.default_root_dir={tmp_path}", "--budget=1s")
    assert re.search(r"shorter than one trial, which takes about \d+ s", line)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--budget=soon"], "--budget is 'soon'; give a duration such as 90s"),
        (["--trials=0"], "--trials is 0; it should be at least 1"),
        (["--trainer.devices=2"], "start the same command several times"),
        (["--checkpoint.monitor=epoch"], "compares trials by a validation metric"),
        (["--sweep.space={model.lr: [1, 2]}"], "there is no setting model.lr. Did you mean model.learning_rate?"),
        (["--sweep.space={model.dropout: {low: 0.5, high: 0.1}}"], "low should be the smaller one"),
        (["--sweep.space={model.dropout: {low: 0.5, high: 1.5}}"], "model.dropout cannot be 1.5"),
        (["--sweep.space={data.val_size: [10, 20]}"], "trials would not be comparable"),
        (["--sweep.space={model.schedule: [linear, cubic]}"], "model.schedule cannot be 'cubic'"),
        (["--sweep.space={model.class_weights: [balanced, null]}"], "model.class_weights cannot be None"),
        (["--sweep.space={model.lora: [4, 8]}"], "model.lora is 4; it should be a mapping"),
        (["--sweep.space={model.head_learning_rate: [1, 1.0]}"], "at least two different values"),
        (["--sweep.space={data.train_size: ['10%', '200%']}"], "data.train_size cannot be '200%'"),
        (["--sweep.space={early_stopping.patience: [0, -3]}"], "early_stopping.patience cannot be -3"),
        (["--sweep.space={trainer.max_time: ['00:00:00:01', x]}"], "is not a valid duration"),
        (["--sweep.space={trainer.fast_dev_run: [true, false]}"], "it leaves no scores to compare"),
        (["--sweep.storage=sqlite://"], "is in memory, and is lost with the process"),
        (["--sweep.storage="], "sweep.storage is empty"),
        (["--sweep.storage=nonsense://x"], "sweep.storage: the database cannot be opened"),
    ],
)
def test_mistakes_get_one_line(
    words: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = failing(capsys, "sweep", *SMALL, *HEAD, f"--trainer.default_root_dir={tmp_path}", *words)
    assert expected in line


def test_without_optuna_the_line_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert 'pip install "emotion-lit[sweep]"' in failing(capsys, "sweep")


@pytest.mark.usefixtures("no_figures")
def test_a_name_with_a_folder_and_a_setting_without_effect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--trials=2", f"--trainer.default_root_dir={tmp_path}", "--sweep.space={model.lora.rank: [4, 8]}"]
    main(["sweep", *SMALL, *HEAD, "--name=a/b", *words])
    assert "sweep.space: model.lora.rank has no effect with tuning head" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
    assert len(list((tmp_path / "a" / "b_sweep").glob("trial_*"))) == 2


@pytest.mark.parametrize("journal", ["", None, "5\n", "{}\n", "nonsense\n"])
def test_a_lost_or_damaged_journal_is_told(
    swept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], journal: str | None
) -> None:
    folder = Path(shutil.copytree(swept, tmp_path / "small_sweep"))
    if journal:
        (folder / "journal.log").write_text(journal + (folder / "journal.log").read_text())
    else:
        (folder / "journal.log").unlink()
        if journal is not None:
            (folder / "journal.log").touch()
    line = failing(capsys, *WORDS, f"--trainer.default_root_dir={tmp_path}", "--trials=4")
    assert ("is damaged" if journal else "has trials, but its journal.log is empty or missing") in line
    assert "give another --name" in line
