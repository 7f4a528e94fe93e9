"""Shortcuts check themselves: where one changes anything, or fails, the library's own path is taken in a line."""

import copy
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from emotion_lit import EmotionClassifier
from emotion_lit.cli import main
from emotion_lit.model import cpu_kernels, fast_paths, first_token, merged_lora
from emotion_lit.model.cpu_kernels import ByteDropout
from emotion_lit.model.fast_paths import can_run_apart, difference, install_training_paths, remove_training_paths
from emotion_lit.model.merged_lora import MergedLoraLinear
from emotion_lit.model.probe import Probe
from emotion_lit.training.datamodule import EmotionDataModule
from tests.model.encoders import make_encoder

LEFT_OUT = "fast path left out: "


def built(backbone: Path | str, **settings: Any) -> EmotionClassifier:
    torch.manual_seed(0)
    model = EmotionClassifier(["a", "b", "c"], backbone=str(backbone), **settings)
    model.build()
    return model


def fast_paths_of(model: EmotionClassifier) -> set[str]:
    """The names of the fast paths that a network has."""
    assert model.network is not None
    found = {type(module).__name__ for module in model.network.modules()} & {"MergedLoraLinear", "ByteDropout"}
    if any(isinstance(module.__dict__.get("forward"), partial) for module in model.network.modules()):
        found.add("first token")
    if model.network.encoder.config._attn_implementation == cpu_kernels.ATTENTION:
        found.add("attention")
    return found


def logits(model: EmotionClassifier) -> torch.Tensor:
    assert model.network is not None
    return Probe(model.tokenizer).logits(model.network)


@pytest.mark.parametrize("tuning", ["head", "lora", "full"])
def test_the_embedded_encoder_takes_all_of_them(tuning: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = built("embedded", tuning=tuning)
    of_building = fast_paths_of(model)
    assert model.network is not None
    install_training_paths(model.network, Probe(model.tokenizer))
    expected = {"head": set(), "lora": {"first token", "MergedLoraLinear"}, "full": {"first token"}}[tuning]
    assert of_building == expected
    assert fast_paths_of(model) == {*expected, "attention", "ByteDropout"}
    remove_training_paths(model.network)
    assert fast_paths_of(model) == expected
    assert LEFT_OUT not in capsys.readouterr().err


def test_none_of_them_is_taken_on_request(tiny_backbone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fast, plain = built(tiny_backbone), built(tiny_backbone, fast_paths=False)
    assert fast_paths_of(fast) == {"first token", "MergedLoraLinear"}
    assert not fast_paths_of(plain)
    torch.testing.assert_close(logits(plain), logits(fast), atol=1e-5, rtol=0)
    assert not capsys.readouterr().err


def off(function: Callable[..., torch.Tensor]) -> Callable[..., Any]:
    """A function of tensors whose results are a little off."""

    def wrong(*args: Any, **more: Any) -> Any:
        result = function(*args, **more)
        return (result[0] * 1.01, *result[1:]) if isinstance(result, tuple) else result * 1.01

    return wrong


def missing(*_: Any, **__: Any) -> None:
    raise AttributeError("module 'peft' has no attribute '_private'")


@pytest.mark.parametrize("broken", [off, lambda _: missing])
@pytest.mark.parametrize(
    ("place", "name", "line"),
    [
        (first_token, "_attend", "the last layer for the first token only"),
        (merged_lora, "_merge", "merged LoRA layers"),
        (cpu_kernels, "eager_attention", "eager attention"),
        (cpu_kernels, "byte_dropout", "byte dropout"),
    ],
)
def test_one_that_changes_anything_or_fails_is_left_out(
    place: Any,
    name: str,
    line: str,
    broken: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_encoder("bert", tmp_path)
    expected = logits(built(tmp_path, fast_paths=False))
    fine = built(tmp_path)
    assert fine.network is not None
    install_training_paths(fine.network, Probe(fine.tokenizer))
    if name == "byte_dropout" and broken is off:
        monkeypatch.setattr(cpu_kernels, name, lambda values, p: torch.nn.functional.dropout(values, p / 2))
    else:
        monkeypatch.setattr(place, name, broken(getattr(place, name)))
    capsys.readouterr()
    model = built(tmp_path)
    assert model.network is not None
    install_training_paths(model.network, Probe(model.tokenizer))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"{LEFT_OUT}{line}, with BertModel (")
    assert len(fast_paths_of(model)) == len(fast_paths_of(fine)) - 1
    torch.testing.assert_close(logits(model), expected, atol=1e-5, rtol=0)


def test_a_library_without_a_private_name(
    tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr("transformers.masking_utils.eager_mask")
    monkeypatch.delattr("emotion_lit.model.merged_lora")
    monkeypatch.setitem(sys.modules, "emotion_lit.model.merged_lora", None)  # its import fails
    model = built(tiny_backbone)
    assert model.network is not None
    install_training_paths(model.network, Probe(model.tokenizer))
    assert fast_paths_of(model) == {"first token", "ByteDropout"}
    assert capsys.readouterr().err.count(LEFT_OUT) == 2


def test_what_is_checked_leaves_no_trace(tiny_backbone: Path) -> None:
    states = []
    for fast in (True, False):
        model = built(tiny_backbone, fast_paths=fast)
        assert model.training
        assert all(not weight.any() for name, weight in model.named_parameters() if "lora_B" in name)
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


def test_layers_whose_place_matters_are_not_run_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_encoder("gemma3", tmp_path, layer_types=["sliding_attention", "full_attention"])
    model = built(tmp_path, tuning="full", trainable_layers=1)
    assert model.network is not None
    if any(hasattr(module, "attention_type") for module in model.network.modules()):
        pytest.skip("the layers of this release of transformers know what they are wherever they stand")
    assert not can_run_apart(model.network, Probe(model.tokenizer))
    assert f"{LEFT_OUT}frozen lower layers run once" in capsys.readouterr().err


def test_adapters_whose_output_is_changed_in_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_encoder("longformer", tmp_path)
    model = built(tmp_path)
    assert fast_paths_of(model) == set()
    assert f"{LEFT_OUT}merged LoRA layers, with LongformerModel" in capsys.readouterr().err


def test_small_logits_have_to_be_nearer() -> None:
    assert difference(torch.tensor([1e-4]), torch.tensor([1.02e-4]))
    assert not difference(torch.tensor([1e-4]), torch.tensor([1e-4 + 1e-9]))
    assert not difference(torch.tensor([20.0]), torch.tensor([20.0001]))
    assert difference(torch.tensor([1.0]), torch.tensor([1.0001]))
    assert difference(torch.tensor([1.0]), torch.tensor([float("nan")]))


def test_after_fit_the_encoder_is_that_of_the_library(tiny_backbone: Path, tmp_path: Path) -> None:
    data = EmotionDataModule("sample", str(tiny_backbone), train_size=40, val_size=14, test_size=14)
    model = EmotionClassifier(data.label_names, backbone=str(tiny_backbone), tuning="full")
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    Trainer(max_steps=1, default_root_dir=tmp_path, enable_checkpointing=False, accelerator="cpu", **quiet).fit(
        model, data
    )
    assert fast_paths_of(model) == {"first token"}
    copied = copy.deepcopy(model)
    assert not any(isinstance(module, ByteDropout | MergedLoraLinear) for module in copied.modules())


def test_fit_and_predict_without_them(
    tiny_backbone: Path, tmp_path: Path, texts_file: Path, no_figures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise AssertionError("a fast path was installed")

    more = ["--data.dataset=sample", "--data.train_size=40", "--data.val_size=14", "--data.test_size=14"]
    words = [f"--model.backbone={tiny_backbone}", "--trainer.max_steps=1", f"--trainer.default_root_dir={tmp_path}"]
    monkeypatch.setattr(fast_paths, "install_if_equal", refused)
    main(["fit", *more, *words, "--model.tuning=full", "--model.trainable_layers=1", "--model.fast_paths=false"])
    run = tmp_path / "emotion" / "version_0"
    output = tmp_path / "out.csv"
    asked = [f"--ckpt_path={run}", f"--data.predict_path={texts_file}", f"--prediction.path={output}"]
    main(["predict", *asked])
    first = output.read_text()
    monkeypatch.undo()
    main(["predict", *asked, "--model.fast_paths=true", "--prediction.overwrite=true"])
    assert output.read_text().split(",")[:3] == first.split(",")[:3]
