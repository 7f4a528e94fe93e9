import shutil
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from emotion_lit.cli import main

SCALARS = {
    *(f"{stage}/{name}" for stage in ("train", "val") for name in ("macro_f1", "accuracy")),
    *("train/loss_step", "train/loss_epoch", "val/loss", "train/gradient_norm"),
    *("speed/samples_per_second", "speed/tokens_per_second", "speed/padding_share", "speed/memory_mb"),
    *("lr-AdamW/encoder", "lr-AdamW/head"),
}
ALL = {"scalars": 0, "tensors": 0, "images": 0}
FIGURES = {"confusion", "reliability", "precision_recall", "per_class", "risk_coverage", "learning"}


@pytest.fixture(scope="module")
def events(drawn_run: Path) -> EventAccumulator:
    return EventAccumulator(str(drawn_run), size_guidance={"tensors": 0, "images": 0}).Reload()


def test_scalars(events: EventAccumulator) -> None:
    there = set(events.Tags()["scalars"])
    assert {tag for tag in SCALARS if not any(found.startswith(tag) for found in there)} == set()
    assert len(events.Scalars("val/macro_f1")) == 2


def test_figures_of_every_epoch_and_of_the_end(events: EventAccumulator) -> None:
    images = set(events.Tags()["images"])
    assert {f"test/{name}" for name in FIGURES} | {"validation/confusion", "validation/reliability"} <= images
    assert len(events.Images("validation/confusion")) == 2


def test_curves_errors_and_charts_of_both(events: EventAccumulator) -> None:
    tensors = set(events.Tags()["tensors"])
    assert {"validation/Joy", "test/Joy", "custom_scalars__config__"} <= tensors
    (errors,) = events.Tensors("test/most confident errors/text_summary")
    assert b" predicted as " in errors.tensor_proto.string_val[0]
    layout = events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0]
    assert b"train/macro_f1" in layout
    assert b"val/macro_f1" in layout


def test_hparams_list_the_final_scores(drawn_run: Path, events: EventAccumulator) -> None:
    content = events.summary_metadata["_hparams_/experiment"].plugin_data.content
    experiment = plugin_data_pb2.HParamsPluginData.FromString(content).experiment
    assert {info.name.tag for info in experiment.metric_infos} == {
        f"final/test_{name}" for name in ("accuracy", "macro_f1", "loss", "ece")
    }
    assert "model/tuning" in {info.name for info in experiment.hparam_infos}
    assert 0 <= events.Scalars("final/test_macro_f1")[-1].value <= 1


def test_hparams_are_what_took_effect_and_numbers_are_numbers(drawn_run: Path) -> None:
    events = EventAccumulator(str(drawn_run)).Reload()
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    info = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    found = {key: getattr(value, str(value.WhichOneof("kind"))) for key, value in info.hparams.items()}
    assert found["model/learning_rate"] == pytest.approx(1e-3)
    assert found["model/head_learning_rate"] > 0
    assert found["model/dropout"] == pytest.approx(0.1)
    assert found["trainer/max_epochs"] == 2
    assert found["data/max_length"] == 128
    assert found["data/dataset"] == "sample"
    assert found["model/multi_label"] == "false"


def test_each_step_stands_once_after_a_resume(drawn_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(drawn_run, tmp_path / "logs" / "test" / "version_0")
    before = EventAccumulator(str(run), size_guidance=ALL).Reload()
    for epochs in (3, 3):  # the second one trains nothing
        main(["fit", f"--ckpt_path={run}", f"--trainer.max_epochs={epochs}", "--trainer.log_every_n_steps=1"])
    after = EventAccumulator(str(run), size_guidance=ALL).Reload()
    for tag in set(after.Tags()["scalars"]) - {"epoch"}:  # Lightning logs that one with each of the others
        steps = [one.step for one in after.Scalars(tag)]
        assert len(steps) == len(set(steps)), tag
    assert [one.value for one in after.Scalars("val/macro_f1")][:2] == [
        one.value for one in before.Scalars("val/macro_f1")
    ]
    assert len(after.Scalars("val/macro_f1")) == 3
    assert len(after.Tensors("validation/Joy")) == 3
    assert len(after.Scalars("final/test_macro_f1")) == 1


def test_the_projector_has_labels_and_texts(drawn_run: Path) -> None:
    assert "validation" in (drawn_run / "projector_config.pbtxt").read_text()
    (metadata,) = drawn_run.glob("*/validation/metadata.tsv")
    rows = [line.split("\t") for line in metadata.read_text().splitlines()]
    assert rows[0] == ["label", "text"]
    assert len(rows) == 43
    (vectors,) = drawn_run.glob("*/validation/tensors.tsv")
    assert len(vectors.read_text().splitlines()[0].split("\t")) == 32
