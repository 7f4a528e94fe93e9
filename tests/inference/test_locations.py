"""What `load` takes: files, folders and ids of the Hub; and the line for what is none of these."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from emotion_lit import load
from emotion_lit.cli import main
from emotion_lit.errors import UserError
from tests.conftest import failing
from tests.data.hub_server import hub_at, hub_server
from tests.inference.conftest import KINDS, loaded

TEXTS = ["what a day!", "leave me alone"]
NOBODY = "http://127.0.0.1:9"


def repository(places: dict[str, Path], kind: str, folder: Path) -> Path:
    """A folder as it would be on the Hub."""
    if kind != "checkpoint":
        return places[kind]
    folder.mkdir()
    shutil.copy(places[kind] / "checkpoints" / "best.ckpt", folder)
    (folder / "README.md").write_text("A model.")
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_on_the_hub_loads_and_is_there_offline(places: dict[str, Path], kind: str, tmp_path: Path) -> None:
    expected = repr(loaded(places[kind], kind)(TEXTS))
    with hub_server({"me/emo.model": repository(places, kind, tmp_path / "hub")}, tmp_path / "cache"):
        assert repr(loaded("me/emo.model", kind)(TEXTS)) == expected
    with hub_at(NOBODY, tmp_path / "cache"):
        assert repr(loaded("me/emo.model", kind)(TEXTS)) == expected
        with pytest.raises(UserError, match="no file or folder me/other.*, no model of this name is in the cache, and"):
            load("me/other")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("logs/emotion", "there is no file or folder logs/emotion, and no model of this name on the Hugging Face Hub"),
        ("me/gated", "the model me/gated is gated: ask for access on its page"),
        ("me/closed", "the model me/closed cannot be fetched: the Hugging Face Hub answers 403"),
        ("me/foreign", "the model me/foreign on the Hugging Face Hub has no labels.json of an export and no best.ckpt"),
        ("me/a--b", "there is no file or folder me/a--b, and the Hub has no such names"),
        ("logs/emotion/best.ckpt", "there is no checkpoint logs/emotion/best.ckpt"),
        ("emotion/best.ckpt", "there is no checkpoint emotion/best.ckpt"),
        ("./me/emo", "there is no checkpoint me/emo"),
    ],
)
def test_what_the_hub_has_not_is_one_line(
    name: str, line: str, tiny_backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where there are no logs
    served = {"me/foreign": tiny_backbone, "me/gated": tiny_backbone}
    with hub_server(served, tmp_path), pytest.raises(UserError) as raised:
        load(name)
    assert str(raised.value).startswith(line)
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("kind", ["checkpoint", "onnx"])
def test_commands_take_the_id_of_a_model_on_the_hub(
    places: dict[str, Path],
    kind: str,
    texts_file: Path,
    tiny_backbone: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    base = [f"--model.backbone={tiny_backbone}"] if kind == "checkpoint" else []

    def predicted(model: str | Path, name: str) -> bytes:
        words = [f"--data.predict_path={texts_file}", f"--prediction.path={tmp_path / name}", *base]
        main(["predict", f"--ckpt_path={model}", *words])
        return (tmp_path / name).read_bytes()

    expected = predicted(places[kind], "local.csv")
    with hub_server({"me/emo": repository(places, kind, tmp_path / "hub")}, tmp_path / "cache"):
        assert predicted("me/emo", "hub.csv") == expected
        if kind == "checkpoint":
            main(["test", "--ckpt_path=me/emo", *base, f"--evaluation.path={tmp_path / 'scores.json'}"])
            assert (tmp_path / "scores.json").is_file()
    with hub_at(NOBODY, tmp_path / "cache"):
        assert predicted("me/emo", "offline.csv") == expected
        words = ["predict", "--ckpt_path=me/other", f"--data.predict_path={texts_file}"]
        assert "no model of this name is in the cache" in failing(capsys, *words)


@pytest.mark.parametrize("given", [None, "", " ", b"best.ckpt", 5, ["best.ckpt"]])
def test_what_is_no_path_is_one_line(given: Any) -> None:
    with pytest.raises(UserError, match="a model is the path of a checkpoint, a run or an export, or a Hub id, and"):
        load(given)


def test_a_file_of_an_export_names_its_folder(places: dict[str, Path]) -> None:
    for kind, file in (("hf", "model.safetensors"), ("onnx", "model.onnx"), ("adapter", "adapter_config.json")):
        with pytest.raises(UserError, match=f"is one of the files of an export, .*; give .*{kind}$"):
            load(places[kind] / file)


def test_the_home_is_known(places: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(places["hf"].parent))
    monkeypatch.setenv("USERPROFILE", str(places["hf"].parent))
    assert load("~/hf").labels == load(places["hf"]).labels


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_a_device_that_is_not_there_is_one_line(places: dict[str, Path], device: str, tiny_backbone: Path) -> None:
    with pytest.raises(UserError, match=f"cannot go to the device {device}: .*; give another one, such as cpu"):
        load(places["checkpoint"], str(tiny_backbone), device)
