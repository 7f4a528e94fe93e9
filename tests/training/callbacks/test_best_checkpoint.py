"""best.ckpt is the best, under any setting, and holds what its score was measured on."""

import json
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint, WeightAveraging

from emotion_lit import EmotionClassifier, EmotionDataModule
from emotion_lit.cli import main
from emotion_lit.errors import UserError
from emotion_lit.model.checkpoint import MODEL_KEY, read_checkpoint
from emotion_lit.training.callbacks.best_checkpoint import BestCheckpoint
from tests.conftest import failing
from tests.faults.kills import SMALL

pytestmark = pytest.mark.usefixtures("no_figures")

# Macro-F1 .32, .44, .54 and .52.
LEARNING = ["--model.backbone=embedded", "--model.tuning=head", "--model.head_learning_rate=0.003"]
EMA = "--trainer.callbacks+=EMAWeightAveraging"


@pytest.fixture
def fit(tmp_path: Path) -> Any:
    """Trains a small model, and gives the run folder and the Trainer."""

    def run(*more: str) -> tuple[Path, Any]:
        words = [*LEARNING, "--trainer.max_epochs=4", "--trainer.precision=32-true", "--early_stopping.patience=9"]
        cli = main(["fit", *SMALL, *words, f"--trainer.default_root_dir={tmp_path / 'logs'}", *more])
        assert cli is not None
        return Path(cli.trainer.log_dir or ""), cli.trainer

    return run


def keeper(trainer: Any) -> BestCheckpoint:
    return next(one for one in trainer.callbacks if isinstance(one, BestCheckpoint))


def scores(checkpoint: Path, folder: Path) -> Any:
    """What `validate` measures, as in training."""
    file = folder / "evaluation.json"
    as_trained = ["--model.temperature=1", "--trainer.precision=32-true"]
    main(["validate", f"--ckpt_path={checkpoint}", f"--evaluation.path={file}", *as_trained])
    return json.loads(file.read_text())["after"]


def weights(file: Path) -> Any:
    return read_checkpoint(file)["state_dict"]


def same(one: Any, other: Any) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("typed", "files"),
    [
        (["--checkpoint.save_top_k=3"], 3),
        (["--checkpoint.filename=mine"], 1),
        pytest.param(
            [
                "--checkpoint.save_top_k=-1",
                "--checkpoint.filename={epoch}-{val/loss:.3f}",
                "--checkpoint.monitor=val/loss",
            ],
            4,
            marks=pytest.mark.slow,
        ),
        pytest.param(["--checkpoint.dirpath={}/elsewhere"], 0, marks=pytest.mark.slow),
    ],
)
def test_the_best_is_found_whatever_is_kept(fit: Any, tmp_path: Path, typed: list[str], files: int) -> None:
    run, trainer = fit(*[word.replace("{}", str(tmp_path)) for word in typed])
    best = keeper(trainer)
    folder = tmp_path / "elsewhere" if files == 0 else run / "checkpoints"
    kept = sorted(file for file in folder.glob("*.ckpt") if file.stem not in ("best", "last", "previous"))
    assert len(kept) == files
    assert read_checkpoint(run)["global_step"] == read_checkpoint(folder / "best.ckpt")["global_step"]
    assert same(weights(run), weights(Path(best.best_model_path)))
    key, sign = ("loss", -1) if best.monitor == "val/loss" else ("macro_f1", 1)
    measured = scores(run, tmp_path)[key]
    assert measured == pytest.approx(float(best.best_model_score or 0), abs=1e-4)
    assert sign * measured == max([sign * scores(file, tmp_path)[key] for file in kept], default=sign * measured)
    report = json.loads((run / "report.json").read_text())["after"]
    assert report["validation"]["macro_f1"] == pytest.approx(scores(run, tmp_path)["macro_f1"], abs=1e-4)
    chosen = [read_checkpoint(path)[MODEL_KEY]["temperature"] for path in (run, best.best_model_path)]
    assert chosen[0] == chosen[1] is not None


def test_a_loss_is_minimized_and_early_stopping_knows_it_too(fit: Any, tmp_path: Path) -> None:
    run, trainer = fit(
        "--checkpoint.monitor=val/loss", "--early_stopping.monitor=val/loss", "--checkpoint.save_top_k=-1"
    )
    kept = list((run / "checkpoints").glob("epoch*.ckpt"))
    losses = {file: float(score) for file, score in keeper(trainer).best_k_models.items()}
    assert len(kept) == len(losses) == 4
    assert len(set(losses.values())) > 1
    assert keeper(trainer).best_model_path == min(losses, key=lambda file: losses[file])
    assert trainer.early_stopping_callback.mode == "min"
    assert float(trainer.early_stopping_callback.best_score) == pytest.approx(min(losses.values()))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--checkpoint.monitor=val/f1"], "checkpoint.monitor 'val/f1' is not known; did you mean 'val/macro_f1'"),
        (["--early_stopping.monitor=train/macro_f1"], "early_stopping.monitor 'train/macro_f1' is not known"),
        (
            ["--early_stopping.monitor=val/micro_f1"],
            "Available: val/accuracy, val/accuracy_any, val/loss, val/macro_f1.",
        ),
        (["--checkpoint.monitor=val/loss", "--checkpoint.mode=max"], "a smaller val/loss is better; leave it out"),
        (["--early_stopping.mode=min"], "early_stopping.mode is min, but a larger val/macro_f1 is better"),
        (["--checkpoint.save_top_k=0"], "checkpoint.save_top_k is 0, so no checkpoint would be kept"),
        (["--checkpoint.save_top_k=-2"], "at least 1, or -1 for all"),
        (["--checkpoint.filename=last"], "checkpoint.filename is last, the name of the checkpoint to resume from"),
        (["--checkpoint.filename=a/b"], "checkpoint.filename is 'a/b', which is not a file name"),
        (
            ["--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.monitor=val/macro_f1"],
            "the ModelCheckpoint in trainer.callbacks: mode is min, but a larger val/macro_f1 is better",
        ),
        (
            ["--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.save_last=true"],
            "would write over the run's own last.ckpt; leave out its save_last",
        ),
        (
            ["--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.filename=best"],
            "would write over the run's own best.ckpt; give it a filename or a dirpath of its own",
        ),
        (
            ["--trainer.callbacks+=StochasticWeightAveraging", "--trainer.callbacks.swa_lrs=1e-3"],
            "StochasticWeightAveraging sets the averaged weights after the last validation",
        ),
    ],
)
def test_refused_before_the_training(
    tiny_backbone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], typed: list[str], said: str
) -> None:
    words = [f"--model.backbone={tiny_backbone}", f"--trainer.default_root_dir={tmp_path}", *typed]
    assert said in failing(capsys, "fit", *SMALL, *words)
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_new_run_leaves_the_best_checkpoint_of_another_one(
    tiny_backbone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "best"
    words = [
        *(*SMALL, f"--trainer.default_root_dir={tmp_path}", f"--checkpoint.dirpath={folder}"),
        *(f"--model.backbone={tiny_backbone}", "--model.tuning=head", "--trainer.max_epochs=1"),
    ]
    main(["fit", *words])
    first = (folder / "best.ckpt").read_bytes()
    assert "contains best.ckpt of another run, which this one would replace" in failing(capsys, "fit", *words)
    last = next(tmp_path.rglob("last.ckpt"))
    other = ["--name=other", f"--ckpt_path={last}", f"--checkpoint.dirpath={folder}"]
    assert "contains best.ckpt of another run" in failing(capsys, "fit", *words, *other)
    assert (folder / "best.ckpt").read_bytes() == first
    main(["fit", *words, f"--ckpt_path={last}", "--trainer.max_epochs=2"])  # the same run goes on there


def test_a_checkpoint_callback_of_the_users_own_is_not_taken_for_ours(fit: Any, tmp_path: Path) -> None:
    own = ["--trainer.callbacks+=ModelCheckpoint", f"--trainer.callbacks.dirpath={tmp_path / 'own'}"]
    run, trainer = fit(*own, "--trainer.callbacks.filename=own")
    assert trainer.checkpoint_callback is not keeper(trainer)
    assert (tmp_path / "own" / "own.ckpt").is_file()
    best = read_checkpoint(run)
    assert best["hyper_parameters"]["temperature"] is not None
    assert scores(run, tmp_path)["macro_f1"] == pytest.approx(float(keeper(trainer).best_model_score or 0))
    measured = scores(tmp_path / "own" / "own.ckpt", tmp_path)
    assert measured["rows"] == 42  # it is a checkpoint of ours as well


@pytest.mark.slow
def test_a_run_that_keeps_more_or_less_from_now_on_still_knows_its_best(fit: Any, tmp_path: Path) -> None:
    run, trainer = fit("--checkpoint.save_top_k=3")
    for count, more in ((1, "5"), (2, "6")):
        before = max(float(score) for score in keeper(trainer).best_k_models.values())
        cli = main(["fit", f"--ckpt_path={run}", f"--trainer.max_epochs={more}", f"--checkpoint.save_top_k={count}"])
        assert cli is not None
        trainer = cli.trainer
        best = keeper(trainer)
        assert len(best.best_k_models) <= count
        assert float(best.best_model_score or 0) >= before
        assert same(weights(run), weights(Path(best.best_model_path)))
        assert scores(run, tmp_path)["macro_f1"] == pytest.approx(float(best.best_model_score or 0), abs=1e-4)


def test_another_metric_begins_anew_and_keeps_what_is_there_while_nothing_is_trained(
    fit: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = fit()
    before = weights(run)
    cli = main(["fit", f"--ckpt_path={run}", "--checkpoint.monitor=val/loss"])
    assert cli is not None
    assert "BestCheckpoint monitors val/loss from now on, and starts over" in capsys.readouterr().err
    assert same(weights(run), before)
    cli = main(["fit", f"--ckpt_path={run}", "--checkpoint.monitor=val/loss", "--trainer.max_epochs=5"])
    assert cli is not None
    best = keeper(cli.trainer)
    assert (best.monitor, best.mode, len(best.best_k_models)) == ("val/loss", "min", 1)
    assert best.best_model_score is not None
    assert float(best.best_model_score) == pytest.approx(float(cli.trainer.callback_metrics["val/loss"]))


def test_averaged_weights_are_those_that_are_validated_and_kept(fit: Any, tmp_path: Path) -> None:
    run, trainer = fit(EMA, "--trainer.callbacks.decay=0.9")
    best = keeper(trainer)
    assert best.best_model_path
    assert scores(run, tmp_path)["macro_f1"] == pytest.approx(float(best.best_model_score or 0), abs=1e-4)
    report = json.loads((run / "report.json").read_text())
    main(
        ["test", f"--ckpt_path={run}", f"--config={run / 'config.yaml'}", f"--evaluation.path={tmp_path / 'test.json'}"]
    )
    assert json.loads((tmp_path / "test.json").read_text())["after"]["loss"] == pytest.approx(report["after"]["loss"])
    last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["current_model_state"].keys() == last["state_dict"].keys()
    assert not same(last["current_model_state"], last["state_dict"])


def test_a_run_with_averages_goes_on_as_if_it_had_not_stopped_and_not_without_them(
    fit: Any, tiny_backbone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = [f"--model.backbone={tiny_backbone}", "--model.tuning=lora", "--model.schedule=constant"]
    typed = [EMA, "--trainer.callbacks.decay=0.9", *tiny, "--trainer.max_epochs=2"]
    whole, _ = fit(*typed)
    run, _ = fit(*typed, "--trainer.max_epochs=1")
    config = (run / "config.yaml").read_text()
    capsys.readouterr()
    again = f"--config={run / 'config.yaml'}"
    said = failing(capsys, "fit", f"--ckpt_path={run}", "--trainer.max_epochs=2")
    assert f"cannot be resumed without it; add --config {run / 'config.yaml'}" in said
    assert (run / "config.yaml").read_text() == config
    main(["fit", f"--ckpt_path={run}", again, "--trainer.max_epochs=2"])
    one, other = (torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True) for folder in (whole, run))
    for part in ("state_dict", "current_model_state"):
        assert same(one[part], other[part])


@pytest.mark.parametrize("averaging", [WeightAveraging, EMAWeightAveraging])
def test_any_checkpoint_of_a_plain_trainer_holds_what_was_validated(
    tiny_backbone: Path, tmp_path: Path, averaging: Any
) -> None:
    data = EmotionDataModule("sample", str(tiny_backbone), train_size=70, val_size=42, test_size=14)
    model = EmotionClassifier(data.label_names, backbone=str(tiny_backbone), tuning="full", learning_rate=0.02)
    callbacks = [
        averaging(),
        ModelCheckpoint(tmp_path, "weights", "val/loss", save_weights_only=True),
        ModelCheckpoint(tmp_path, "whole", "val/accuracy", mode="max"),
        BestCheckpoint("val/loss", dirpath=str(tmp_path)),
    ]
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(max_epochs=2, callbacks=callbacks, **quiet)
    trainer.fit(model, datamodule=data)
    for callback in callbacks[1:]:
        assert isinstance(callback, ModelCheckpoint)
        kept = EmotionClassifier.load_from_checkpoint(callback.best_model_path)
        (measured,) = pl.Trainer(**quiet).validate(kept, datamodule=data, verbose=False)
        assert callback.best_model_score is not None
        assert measured[str(callback.monitor)] == pytest.approx(float(callback.best_model_score), abs=1e-6)


def test_a_plain_trainer_refuses_what_it_cannot_watch(tiny_backbone: Path) -> None:
    data = EmotionDataModule("sample", str(tiny_backbone), train_size=70, val_size=42, test_size=14)
    model = EmotionClassifier(data.label_names, backbone=str(tiny_backbone))
    trainer = pl.Trainer(max_epochs=1, callbacks=[ModelCheckpoint(monitor="val_loss")], logger=False)
    with pytest.raises(UserError, match=r"monitor 'val_loss' is not known; did you mean 'val/loss'"):
        trainer.fit(model, datamodule=data)


class Exchange(pl.Callback):
    """Validates other weights than those that train, as averages of one's own would be."""

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._scale(pl_module, 2.0)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._scale(pl_module, 0.5)

    @staticmethod
    def _scale(model: pl.LightningModule, factor: float) -> None:
        for weight in model.parameters():
            weight.data *= factor


def test_weights_that_are_exchanged_in_another_way_are_refused(tiny_backbone: Path, tmp_path: Path) -> None:
    data = EmotionDataModule("sample", str(tiny_backbone), train_size=70, val_size=42, test_size=14)
    model = EmotionClassifier(data.label_names, backbone=str(tiny_backbone), tuning="full")
    callbacks = [Exchange(), BestCheckpoint(dirpath=str(tmp_path))]
    trainer = pl.Trainer(max_epochs=1, callbacks=callbacks, logger=False, enable_progress_bar=False)
    with pytest.raises(UserError, match="no checkpoint would contain what was validated"):
        trainer.fit(model, datamodule=data)
    assert not list(tmp_path.glob("*.ckpt"))


def test_scores_of_a_checkpoint_without_its_neighbors_replace_nothing(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    carried = tmp_path / "carried.ckpt"
    carried.write_bytes((tiny_run / "checkpoints" / "last.ckpt").read_bytes())
    main(["test", f"--ckpt_path={carried}", f"--evaluation.path={tmp_path / 'scores.json'}"])
    assert "replaced" not in capsys.readouterr().err
    assert list(tmp_path.glob("*.ckpt")) == [carried]
