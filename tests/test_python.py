"""The package as a library: a plain Trainer, subclasses, loaders by hand, copies, and what cannot be."""

import ast
import copy
import functools
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader

from emotion_lit import EmotionClassifier, EmotionDataModule, load
from emotion_lit.cli import main
from emotion_lit.errors import UserError
from emotion_lit.inference.engines import TorchEngine
from emotion_lit.inference.predictor import Predictor
from emotion_lit.training.callbacks.best_checkpoint import BestCheckpoint
from emotion_lit.training.callbacks.early_stopping import EarlyStopping
from emotion_lit.training.callbacks.evaluation import Evaluation
from emotion_lit.training.callbacks.fitting import fit_callbacks
from emotion_lit.training.callbacks.last_checkpoint import LastCheckpoint
from emotion_lit.training.callbacks.prediction_writer import PredictionWriter
from emotion_lit.training.callbacks.progress import EpochSummary, TextProgress
from emotion_lit.training.callbacks.run_report import RunReport
from emotion_lit.training.optim import WarmupSchedule
from tests.fork_server import forked

LABELS = ["calm", "angry", "glad"]
QUIET: dict[str, Any] = {
    **{"accelerator": "cpu", "max_epochs": 1, "logger": False, "enable_checkpointing": False},
    **{"enable_progress_bar": False, "enable_model_summary": False},
}
HERE: dict[str, Any] = {"dataset": "sample", "train_size": 42, "val_size": 14, "test_size": 14}

# Two processes, none of our own settings: the rows are shared out, whether by the data module or by hand.
TWO_PROCESSES = """
import sys
import lightning.pytorch as pl
import torch
from emotion_lit import EmotionClassifier, EmotionDataModule

trainer = pl.Trainer(
    accelerator="cpu", devices=2, max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False
)
data = EmotionDataModule(
    dataset="sample", backbone=sys.argv[1], train_size=42, val_size=14, test_size=14, batch_size=7
)
model = EmotionClassifier(data.label_names, backbone=sys.argv[1], tuning="head", pooling="cls")
trainer.fit(model, datamodule=data)
assert trainer.global_step == 3, trainer.global_step
assert trainer.test(model, datamodule=data, verbose=False)[0]["test/loss"] > 0
data.setup("fit")
trainer = pl.Trainer(
    accelerator="cpu", devices=2, max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False
)
trainer.fit(model, data.train_dataloader(), data.val_dataloader())
assert trainer.global_step == 3, trainer.global_step
rows = trainer.predict(model, data.test_dataloader())
assert sum(map(len, rows)) == 7, rows
print("trained", trainer.global_rank)
"""


@pytest.fixture
def data(tiny_backbone: Path) -> EmotionDataModule:
    return EmotionDataModule(**HERE, backbone=str(tiny_backbone))


@pytest.fixture(scope="module")
def fitted(tiny_backbone: Path) -> tuple[EmotionClassifier, EmotionDataModule]:
    data = EmotionDataModule(**HERE, backbone=str(tiny_backbone))
    model = EmotionClassifier(data.label_names, backbone=str(tiny_backbone), tuning="full")
    pl.Trainer(**QUIET).fit(model, datamodule=data)
    return model, data


def model_of(backbone: Path, kind: type[EmotionClassifier] = EmotionClassifier, **settings: Any) -> EmotionClassifier:
    return kind(LABELS, backbone=str(backbone), **{"tuning": "head", "pooling": "cls", **settings})


def predicted(*given: Any, **named: Any) -> torch.Tensor:
    batches: Any = pl.Trainer(**QUIET).predict(*given, **named)
    return torch.cat(batches)


def loader(*keys: str, rows: int = 12) -> DataLoader[Any]:
    ids = torch.arange(rows * 5).view(rows, 5) + 1000
    truth = torch.arange(rows) % 3
    columns = {
        **{"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": truth, "label": truth},
        **{"targets": torch.nn.functional.one_hot(truth, 3).float(), "far": truth + 1, "two": torch.ones(rows, 2)},
    }
    named = {key.split("=")[0]: columns[key.split("=")[-1]] for key in ("input_ids", "attention_mask", *keys)}
    return as_they_are([{key: column[row] for key, column in named.items()} for row in range(rows)])


def as_they_are(rows: Any) -> DataLoader[Any]:
    return DataLoader(rows, batch_size=4)


# Subclasses


class OwnRate(EmotionClassifier):
    def configure_optimizers(self) -> Any:
        return SGD([one for one in self.parameters() if one.requires_grad], lr=0.125)


class Plateau(EmotionClassifier):
    def configure_optimizers(self) -> Any:
        optimizer = Adam(self.parameters(), lr=0.125)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": ReduceLROnPlateau(optimizer), "monitor": "val/loss"},
        }


class OwnSteps(EmotionClassifier):
    def configure_optimizers(self) -> Any:
        optimizer = SGD(self.parameters(), lr=0.125)
        return [optimizer], [StepLR(optimizer, 100)]


class OwnLambda(EmotionClassifier):
    def configure_optimizers(self) -> Any:
        optimizer = SGD(self.parameters(), lr=0.25)
        return [optimizer], [LambdaLR(optimizer, lambda step: 0.5)]


class OwnGroups(EmotionClassifier):
    def configure_optimizers(self) -> Any:
        optimizer = SGD(self.parameters(), lr=0.125)
        return [optimizer], [WarmupSchedule(optimizer, self.trainer, self.settings)]


class Manual(EmotionClassifier):
    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.automatic_optimization = False

    def configure_optimizers(self) -> Any:
        first, *others = [one for one in self.parameters() if one.requires_grad]
        return [SGD([first], lr=0.125), SGD(others, lr=0.125)]

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = super().training_step(batch, batch_idx)
        self.manual_backward(loss)
        optimizers: Any = self.optimizers()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()


class OwnLoss(EmotionClassifier):
    def loss(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return (logits.softmax(dim=1) - targets).square().mean()


class OwnCallbacks(EmotionClassifier):
    def configure_callbacks(self) -> list[Any]:
        return []


class OwnForward(EmotionClassifier):
    def forward(self, batch: Any) -> torch.Tensor:
        return 0.5 * super().forward(batch)


@pytest.mark.parametrize("kind", [OwnRate, Plateau, OwnSteps, OwnLambda, OwnGroups, Manual, OwnLoss, OwnForward])
def test_a_subclass_trains_as_it_says(kind: type[EmotionClassifier], tiny_backbone: Path) -> None:
    model = model_of(tiny_backbone, kind)
    model.build()
    before = copy.deepcopy(model.state_dict())
    trainer = pl.Trainer(**QUIET)
    trainer.fit(model, loader("targets", "label"), loader("targets", "label"))
    moved = [name for name, weight in model.state_dict().items() if not torch.equal(weight, before[name])]
    assert any("classifier" in name for name in moved)
    if kind not in (OwnLoss, OwnForward, OwnGroups):
        assert {group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups} == {0.125}


def test_a_subclass_is_told_what_its_callbacks_leave_out(
    tiny_backbone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, told in ((EmotionClassifier, False), (OwnCallbacks, True)):
        model = model_of(tiny_backbone, kind)
        model.build()
        pl.Trainer(**QUIET).fit(model, loader("labels"), loader("labels"))
        line = "configure_callbacks leaves out Acceleration and StepLog"
        assert (line in capsys.readouterr().err) == told


# Loaders by hand


@pytest.mark.parametrize("keys", [("labels",), ("label",), ("targets",), ("targets", "label")])
def test_labels_of_other_names_train_the_same(keys: tuple[str, ...], tiny_backbone: Path) -> None:
    scores = []
    for given in (keys, ("targets", "label")):
        torch.manual_seed(3)
        model = model_of(tiny_backbone, dropout=0.0)
        trainer = pl.Trainer(**QUIET)
        trainer.fit(model, loader(*given), loader(*given))
        scores.append({name: float(value) for name, value in trainer.callback_metrics.items()})
    assert scores[0] == pytest.approx(scores[1], nan_ok=True)


@pytest.mark.parametrize(
    ("made", "settings", "message"),
    [
        (lambda: loader(), {}, "needs targets or labels or label"),
        (lambda: loader("labels=far"), {}, "those of the model are 0 to 2"),
        (lambda: loader("labels=two"), {}, "for 2 classes, but the model has 3"),
        (lambda: as_they_are(["a text", "another"]), {}, "this one is a list. Tokenize with"),
        (lambda: as_they_are([{"text": "a text"}]), {}, "this one is the keys text. Tokenize"),
        (lambda: loader("labels"), {"class_weights": "balanced"}, "give a list of weights"),
    ],
)
def test_what_cannot_train_is_one_line(
    made: Callable[[], Any], settings: dict[str, Any], message: str, tiny_backbone: Path
) -> None:
    with pytest.raises(UserError, match=message):
        pl.Trainer(**QUIET).fit(model_of(tiny_backbone, **settings), made())


def test_every_stage_takes_a_loader(tiny_backbone: Path) -> None:
    model = model_of(tiny_backbone, class_weights=[1, 2, 3])
    trainer = pl.Trainer(**QUIET)
    trainer.fit(model, loader("labels"))
    assert trainer.validate(model, loader("labels"), verbose=False)[0]["val/loss"] > 0
    assert trainer.test(model, loader("labels"), verbose=False)[0]["test/loss"] > 0
    assert predicted(model, loader()).sum(dim=1).tolist() == pytest.approx([1] * 12)
    with pytest.raises(UserError, match="Tokenize"):
        trainer.predict(model, as_they_are(["a text"]))


def test_a_checkpoint_of_a_plain_trainer_loads(tiny_backbone: Path, tmp_path: Path, texts_file: Path) -> None:
    model = model_of(tiny_backbone, multi_label=True)
    trainer = pl.Trainer(**{**QUIET, "enable_checkpointing": True}, default_root_dir=tmp_path)
    trainer.fit(model, loader("labels"), loader("labels"))
    path: Any = trainer.checkpoint_callback.best_model_path  # type: ignore[union-attr]
    again = EmotionClassifier.load_from_checkpoint(path)
    batch = next(iter(loader()))
    torch.testing.assert_close(again.eval()(batch), model.eval()(batch))
    assert load(path)("what a day!").label in LABELS
    trainer = pl.Trainer(**{**QUIET, "max_epochs": 2})
    trainer.fit(model_of(tiny_backbone, multi_label=True), loader("labels"), loader("labels"), ckpt_path=path)
    assert trainer.global_step == 6
    out = tmp_path / "out.csv"
    main(["predict", f"--ckpt_path={path}", f"--data.predict_path={texts_file}", f"--prediction.path={out}"])
    assert len(out.read_text().splitlines()) == 5


# The data module by hand


def test_data_by_hand(data: EmotionDataModule, fitted: tuple[EmotionClassifier, EmotionDataModule]) -> None:
    for ask in (data.train_dataloader, data.val_dataloader, data.test_dataloader, lambda: data.prepared("test")):
        with pytest.raises(UserError, match=r"call data.setup\('fit'\) first"):
            ask()
    with pytest.raises(UserError, match=r"call data.setup\('predict'\) first"):
        data.predict_dataloader()
    with pytest.raises(UserError, match="'train' is not known"):
        data.setup("train")
    data.setup("fit")
    assert sum(len(batch["row"]) for batch in data.train_dataloader()) == len(data.rows("train"))
    trainer = pl.Trainer(**QUIET)
    trainer.fit(fitted[0], data.train_dataloader(), data.val_dataloader())
    assert trainer.global_step == len(data.train_dataloader())


def test_data_of_a_training_that_has_ended_begin_anew(fitted: tuple[EmotionClassifier, EmotionDataModule]) -> None:
    rows = [row for batch in fitted[1].train_dataloader() for row in batch["row"].tolist()]
    assert sorted(rows) == list(range(len(fitted[1].rows("train"))))


def predictor_of(model: EmotionClassifier, max_length: int) -> Predictor:
    return Predictor(TorchEngine(model.built, model.decision), model.tokenizer, model.decision, max_length)


@pytest.mark.parametrize("callbacks", ["those of the model", "those of a subclass"])
def test_predictions_come_in_the_order_of_the_texts(
    fitted: tuple[EmotionClassifier, EmotionDataModule],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    callbacks: str,
) -> None:
    model = fitted[0]
    if callbacks == "those of a subclass":
        monkeypatch.setattr(EmotionClassifier, "configure_callbacks", lambda _: [])
    texts = ["word " * (7 * row % 23 + 1) + str(row) for row in range(40)]
    file = tmp_path / "texts.txt"
    file.write_text("\n".join([*texts[:20], "", *texts[20:]]) + "\n")
    data = EmotionDataModule(backbone=model.settings.backbone, predict_path=str(file), tokens_per_batch=32)
    found = predicted(model, datamodule=data)
    assert found[20].isnan().all()
    expected = predictor_of(model, data.settings.max_length).probabilities(texts)
    torch.testing.assert_close(torch.cat([found[:20], found[21:]]), expected, atol=1e-5, rtol=0)
    data.setup("predict")
    batches = data.predict_dataloader()
    assert len(list(batches)) == len(list(batches)) > 1


def test_scores_of_a_split_come_in_its_order(fitted: tuple[EmotionClassifier, EmotionDataModule]) -> None:
    model, data = fitted
    found = predicted(model, data.test_dataloader())
    expected = predictor_of(model, data.settings.max_length).probabilities(data.rows("test").texts)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


# Models without a Trainer, copies, and several at once


def test_a_model_without_a_trainer(tiny_backbone: Path) -> None:
    model, batch = model_of(tiny_backbone), next(iter(loader("labels")))
    for ask in (
        lambda: model(batch),
        lambda: model.embed(batch),
        lambda: model.network_sha256,
        model.configure_optimizers,
    ):
        with pytest.raises(UserError, match=r"model.build\(\) first|needs a Trainer"):
            ask()
    model.build()
    with pytest.raises(UserError, match="needs a Trainer"):
        model.configure_optimizers()
    torch.autograd.backward(model.training_step(batch, 0))
    model.eval()
    expected = model(batch)
    other = model_of(tiny_backbone)
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(other.eval()(batch), expected)
    for changed in (model.half(), model.bfloat16(), model.double(), model.to(torch.float32)):
        torch.testing.assert_close(changed(batch).float(), expected, atol=0.05, rtol=0)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
@pytest.mark.parametrize(("tuning", "pooling"), [("lora", "cls"), ("full", "cls"), ("head", "mean")])
def test_copies_are_the_same_and_stand_alone(
    copied: Callable[[Any], Any], tuning: Any, pooling: Any, tiny_backbone: Path
) -> None:
    settings = {"tuning": tuning, "pooling": pooling, "trainable_layers": None if tuning == "head" else 1}
    model, batch = model_of(tiny_backbone, **settings), next(iter(loader("labels")))
    copied(model)  # before it is built
    pl.Trainer(**QUIET).fit(model, loader("labels"))
    other, expected = copied(model).eval(), model.eval()(batch)
    assert torch.equal(other(batch), expected)
    with torch.no_grad():
        for weight in other.parameters():
            weight.add_(1)
    assert torch.equal(model(batch), expected)
    assert not torch.equal(other(batch), expected)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_of_data(copied: Callable[[Any], Any], fitted: tuple[EmotionClassifier, EmotionDataModule]) -> None:
    other = copied(fitted[1])
    assert other.trainer is None
    assert [batch["row"].tolist() for batch in other.val_dataloader()] == [
        batch["row"].tolist() for batch in fitted[1].val_dataloader()
    ]


def test_a_second_model_changes_nothing_in_the_first(tiny_backbone: Path) -> None:
    first, batch = model_of(tiny_backbone, tuning="full"), next(iter(loader("labels")))
    first.build()
    expected = first.eval()(batch)
    second = EmotionClassifier(LABELS, backbone="embedded", tuning="lora")
    pl.Trainer(**QUIET, limit_train_batches=1).fit(second, loader("labels"))
    assert torch.equal(first(batch), expected)


def test_two_processes_of_a_plain_trainer_share_the_rows(tiny_backbone: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(TWO_PROCESSES)
    done = subprocess.run(
        [*forked(), str(program), str(tiny_backbone)], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("trained") == 2


# Our callbacks with loaders by hand

CALLBACKS: dict[str, Callable[[], pl.Callback]] = {
    **{type(one).__name__: functools.partial(copy.copy, one) for one in fit_callbacks()},
    "BestCheckpoint": lambda: BestCheckpoint(dirpath=None),
    "LastCheckpoint": LastCheckpoint,
    "EarlyStopping": EarlyStopping,
    "Evaluation": Evaluation,
    "RunReport": RunReport,
    "EpochSummary": EpochSummary,
    "TextProgress": TextProgress,
    "PredictionWriter": PredictionWriter,
}


def reason_of(stage: Callable[[], Any]) -> str | None:
    try:
        stage()
    except UserError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_callback_works_with_loaders_by_hand_or_says_what_it_needs(
    name: str, tiny_backbone: Path, tmp_path: Path
) -> None:
    settings = {**QUIET, "logger": CSVLogger(tmp_path), "enable_checkpointing": True, "enable_progress_bar": True}
    trainer = pl.Trainer(**settings, callbacks=[CALLBACKS[name]()], default_root_dir=tmp_path)
    model = model_of(tiny_backbone)
    stages: list[Callable[[], Any]] = [
        lambda: trainer.fit(model, loader("labels"), loader("labels")),
        lambda: trainer.validate(model, loader("labels"), verbose=False),
        lambda: trainer.test(model, loader("labels"), verbose=False),
        lambda: trainer.predict(model, loader()),
    ]
    for stage in stages:
        reason = reason_of(stage)
        assert reason is None or "EmotionDataModule" in reason


def test_the_package_asserts_nothing() -> None:
    """`python -O` leaves assertions out; what a user can reach is an error that helps."""
    for file in (Path(__file__).parent.parent / "emotion_lit").rglob("*.py"):
        nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        assert [node.lineno for node in nodes if isinstance(node, ast.Assert)] == [], file


@pytest.mark.parametrize("name", ["tuning", "class_weights", "fast_paths", "weight_decay", "lora"])
def test_none_is_refused_where_it_is_no_value(name: str) -> None:
    with pytest.raises(UserError, match=f"model.{name} is None, which it cannot be"):
        EmotionClassifier(LABELS, backbone="embedded", **{name: None})  # type: ignore[arg-type]


def test_empty_places_are_refused() -> None:
    with pytest.raises(UserError, match="model.backbone is empty"):
        EmotionClassifier(LABELS, backbone="")
    for name in ("dataset", "backbone", "predict_path", "cache_dir"):
        places: dict[str, Any] = {"dataset": "sample", "backbone": "embedded", name: ""}
        with pytest.raises(UserError, match=f"data.{name} is empty"):
            EmotionDataModule(**places)
