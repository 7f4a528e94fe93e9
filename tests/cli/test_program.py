"""The commands as a user types them."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from emotion_lit.cli import main
from emotion_lit.model import checkpoint as checkpoints
from tests.conftest import ROOT, SMALL, Train, failing


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["--help"])
    assert exit_info.value.code == 0
    printed = capsys.readouterr().out
    assert all(command in printed for command in ("fit", "validate", "test", "predict"))


def test_help_of_a_command_explains_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    for option in (
        "--data.train_size",
        "--model.lora.rank",
        "--checkpoint.monitor",
        "--early_stopping.patience",
        "--name",
    ):
        assert option in printed
    assert "Rank of the update of each adapted matrix." in printed


def test_print_config_runs_as_it_stands(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "--model.tuning=head", "--print_config"])
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["model"]["tuning"] == "head"
    assert config["data"]["dataset"] == "cirimus/super-emotion"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(SystemExit) as exit_info:
        main(["fit", f"--config={tmp_path / 'config.yaml'}", "--print_config"])
    assert exit_info.value.code == 0


def test_validate_and_test_need_only_the_checkpoint(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("validate", "test"):
        main([command, f"--ckpt_path={tiny_run / 'checkpoints' / 'best.ckpt'}"])
        printed = capsys.readouterr().out
        assert "macro-F1" in printed
        assert "Surprise" in printed
        assert "diary" in printed
        evaluation = json.loads((tiny_run / "evaluation.json").read_text())
        assert f"{evaluation['after']['macro_f1']:.4f}" in printed
        assert (tiny_run / "evaluation.parquet").is_file()


def test_part_of_a_split_can_be_judged(tiny_run: Path, tmp_path: Path) -> None:
    arguments = [f"--ckpt_path={tiny_run}", f"--evaluation.path={tmp_path / 'part.json'}", "--data.batch_size=8"]
    main(["test", *arguments, "--trainer.limit_test_batches=2"])
    assert json.loads((tmp_path / "part.json").read_text())["after"]["rows"] == 16


def test_a_run_that_ends_before_its_first_validation_keeps_a_model(
    train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    run = train("--trainer.max_steps=1")
    said = capfd.readouterr()
    assert "test after" in said.out + said.err
    assert "could not find the monitored key" not in said.out + said.err
    assert checkpoints.read_checkpoint(run)[checkpoints.MODEL_KEY]["temperature"] is not None


def test_an_evaluation_goes_where_it_is_told(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["test", f"--ckpt_path={tiny_run}", f"--evaluation.path={tmp_path / 'sub' / 'own.json'}"])
    assert json.loads((tmp_path / "sub" / "own.json").read_text())["split"] == "test"
    carried = shutil.copy(tiny_run / "checkpoints" / "best.ckpt", tmp_path / "carried.ckpt")
    main(["validate", f"--ckpt_path={carried}"])
    assert json.loads((tmp_path / "evaluation.json").read_text())["split"] == "validation"
    capsys.readouterr()
    assert "evaluation.path is own.txt" in failing(
        capsys, "test", f"--ckpt_path={carried}", "--evaluation.path=own.txt"
    )


def test_an_evaluation_replaces_no_other_file(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = (tiny_run / "report.json").read_bytes()
    words = ["test", f"--ckpt_path={tiny_run}"]
    line = failing(capsys, *words, f"--evaluation.path={tiny_run / 'report.json'}")
    assert "report.json already exists, and no evaluation wrote it; give another --evaluation.path" in line
    assert (tiny_run / "report.json").read_bytes() == report
    (tmp_path / "rows.parquet").write_bytes(b"data")
    assert "rows.parquet already exists" in failing(capsys, *words, f"--evaluation.path={tmp_path / 'rows.json'}")
    for _ in range(2):  # its own files are replaced
        main([*words, f"--evaluation.path={tmp_path / 'own.json'}"])


def test_another_corpus_is_matched_by_the_names_of_its_labels(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"text": f"text {n}", "labels": ("joy", "anger")[n % 2]} for n in range(20)]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = [f"--data.dataset={tmp_path}", "--data.test_size=null"]
    main(["test", f"--ckpt_path={tiny_run}", *settings])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines if line.startswith(("Joy", "Anger", "Fear"))] == ["0", "10", "10"]


def test_predictions_do_not_change_when_the_checkpoint_is_carried(
    train: Train, texts_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tuning in ("head", "lora", "full"):
        run = train("--model.backbone=embedded", f"--model.tuning={tuning}", "--model.learning_rate=1e-3")
        outputs = [tmp_path / f"{tuning}-here.csv", tmp_path / f"{tuning}-there.csv"]
        arguments = [f"--data.predict_path={texts_file}"]
        main(["predict", f"--ckpt_path={run}", *arguments, f"--prediction.path={outputs[0]}"])
        elsewhere = tmp_path / "elsewhere" / tuning
        elsewhere.mkdir(parents=True)
        carried = shutil.copy(run / "checkpoints" / "best.ckpt", elsewhere / "renamed.ckpt")
        monkeypatch.chdir(elsewhere)
        for variable in ("EMOTION_LIT_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
            monkeypatch.setenv(variable, str(tmp_path / "nothing-cached"))
        main(["predict", f"--ckpt_path={carried}", *arguments, f"--prediction.path={outputs[1]}"])
        assert outputs[0].read_bytes() == outputs[1].read_bytes()


def test_a_second_fit_does_not_tokenize_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "fit",
        *SMALL,
        "--model.tuning=head",
        "--trainer.max_epochs=1",
        f"--data.cache_dir={tmp_path / 'cache'}",
        f"--trainer.default_root_dir={tmp_path / 'logs'}",
    ]
    main(arguments)
    assert "tokenized" in capsys.readouterr().err
    main(arguments)
    printed = capsys.readouterr().err
    assert printed.count("read from the cache") == 3
    assert "tokenized" not in printed


# What is typed against what a checkpoint remembers


def config_of(run: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((run / "config.yaml").read_text())
    return loaded


def copy_of(run: Path, folder: Path) -> Path:
    return shutil.copytree(run, folder / "own" / "version_0")


def test_a_resumed_run_remembers_and_goes_on_in_its_folder(tiny_run: Path, tmp_path: Path) -> None:
    run = copy_of(tiny_run, tmp_path)
    main(["fit", f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}", "--trainer.max_epochs=3"])
    config = config_of(run)
    assert config["model"]["learning_rate"] == 1e-3
    assert config["data"]["train_size"] == 140
    assert Path(config["model"]["backbone"]).samefile(config_of(tiny_run)["model"]["backbone"])
    report, before = (json.loads((folder / "report.json").read_text()) for folder in (run, tiny_run))
    assert report["training"]["epochs"] == 3
    assert report["before"] == before["before"]
    assert report["training"]["wall_seconds"] > before["training"]["wall_seconds"]


def test_what_is_typed_wins(tiny_run: Path, tmp_path: Path) -> None:
    run = copy_of(tiny_run, tmp_path)
    last = run / "checkpoints" / "last.ckpt"
    typed = [
        "--model.learning_rate=0.002",
        "--model.weight_decay=0.3",
        "--model.schedule=constant",
        "--trainer.max_epochs=3",
    ]
    main(["fit", f"--ckpt_path={last}", *typed])
    assert config_of(run)["model"]["learning_rate"] == 0.002
    checkpoint = torch.load(last, weights_only=True)
    groups = {group["name"]: group for group in checkpoint["optimizer_states"][0]["param_groups"]}
    assert groups["encoder"]["lr"] == pytest.approx(0.002)
    assert groups["encoder"]["weight_decay"] == 0.3
    assert checkpoint["hyper_parameters"]["learning_rate"] == 0.002


def test_a_configuration_file_wins_over_a_checkpoint(tiny_run: Path, texts_file: Path, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("data:\n  max_length: 4\n")
    outputs = []
    for name, more in (("long", []), ("short", [f"--config={tmp_path / 'own.yaml'}"])):
        outputs.append(tmp_path / f"{name}.csv")
        arguments = [f"--ckpt_path={tiny_run}", f"--data.predict_path={texts_file}", f"--prediction.path={outputs[-1]}"]
        main(["predict", *more, *arguments])
    assert outputs[0].read_text() != outputs[1].read_text()


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("--model.tuning=head", "was trained with model.tuning lora, which cannot be changed to head"),
        ("--model.lora.rank=4", "model.lora"),
        ("--data.multi_label=true", "model.multi_label False, which cannot be changed to True"),
    ],
)
def test_what_cannot_be_changed_says_so(
    tiny_run: Path, texts_file: Path, capsys: pytest.CaptureFixture[str], typed: str, message: str
) -> None:
    arguments = (f"--ckpt_path={tiny_run}", f"--data.predict_path={texts_file}", typed)
    assert message in failing(capsys, "predict", *arguments)


# Interrupted


def weights(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return state


@pytest.mark.slow  # tests/faults/test_kills.py kills in more settings
@pytest.mark.parametrize("every_minutes", [10, 0.0001], ids=["between epochs", "inside an epoch"])
def test_killed_and_resumed_ends_with_the_same_weights(tmp_path: Path, every_minutes: float) -> None:
    """Dropout is on and the batches are shuffled, so both have to be drawn again as they would have been."""
    arguments = [*SMALL, "--data.train_size=400", "--model.tuning=lora", "--model.dropout=0.1", "--name=own"]
    arguments.append(f"--last.every_minutes={every_minutes}")
    main(["fit", *arguments, f"--trainer.default_root_dir={tmp_path / 'whole'}"])

    command = [sys.executable, "-m", "emotion_lit", "fit", *arguments, f"--trainer.default_root_dir={tmp_path / 'cut'}"]
    run = tmp_path / "cut" / "own" / "version_0"
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    last = run / "checkpoints" / "last.ckpt"
    while not last.exists():
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.02)
    time.sleep(0.7)  # into the second epoch, or some steps into the first
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (run / "report.json").exists()

    main(["fit", f"--ckpt_path={last}"])
    whole, resumed = weights(tmp_path / "whole" / "own" / "version_0"), weights(run)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    assert (run / "report.json").exists()


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["repot", "logs"], "the command 'repot' is not known; did you mean 'report'?"),
        (["fit", "--model.tunning=lora"], "Did you mean model.tuning?"),
        (["export", "--ckpt_path=x", "--output=y", "--fromat=hf"], "Did you mean format?"),
        (["fit", "--model.tuning=lorra"], "'head', 'lora', 'full'"),
        (["fit", "--config=nowhere.yaml"], "nowhere.yaml"),
        (["fit", "--data.dataset=nowhere", "--model.backbone=embedded"], "the dataset nowhere is not in the cache"),
        (["fit", "--data.dataset=sample", "--model.backbone=./nowhere"], "there is no backbone folder ./nowhere"),
        (["fit", *SMALL, "--data.train_size=0"], "data.train_size"),
        (["fit", *SMALL, "--data.text_column=txt"], "Available: text, labels, labels_str, source, case."),
        (["predict"], "predict needs a trained model"),
        (["predict", "--ckpt_path=nowhere.ckpt"], "there is no checkpoint nowhere.ckpt"),
    ],
)
def test_a_mistake_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert message in failing(capsys, *arguments)


def test_a_mistake_in_a_configuration_file_names_the_key(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("model:\n  tunning: lora\n")
    assert "tunning" in failing(capsys, "fit", f"--config={tmp_path / 'own.yaml'}")


def test_predict_without_an_input_says_what_to_give(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--data.predict_path" in failing(capsys, "predict", f"--ckpt_path={tiny_run}")


def test_the_best_checkpoint_cannot_be_resumed(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = failing(capsys, "fit", f"--ckpt_path={tiny_run / 'checkpoints' / 'best.ckpt'}")
    assert "last.ckpt" in line


@pytest.mark.parametrize(("command", "word"), [("fit", "last"), ("fit", "best"), ("test", "best"), ("predict", "last")])
def test_words_of_lightning_for_checkpoints_name_the_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, word: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("logs", "my run", "version_0", "checkpoints")
    folder.mkdir(parents=True)
    for name in ("best.ckpt", "last.ckpt"):
        (folder / name).touch()
    line = failing(capsys, command, f"--ckpt_path={word}")
    wanted = "last.ckpt" if command == "fit" else "best.ckpt"  # from which a run goes on, and what is used
    assert line.endswith(f"the newest here is '{folder / wanted}'")


def test_a_run_folder_that_cannot_be_written_is_found_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").write_text("a file")
    line = failing(capsys, "fit", *SMALL, f"--trainer.default_root_dir={tmp_path / 'logs'}")
    assert "cannot be written" in line
