"""Weights that are missing, or of another shape, are an error that names them, wherever they are loaded from."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from emotion_lit import EmotionClassifier, load
from emotion_lit.cli import main
from emotion_lit.errors import UserError
from emotion_lit.model import backbone, checkpoint
from tests.model.encoders import make_encoder

SMALL = [
    *("--data.dataset=sample", "--data.train_size=40", "--data.val_size=14", "--data.test_size=14"),
    *("--trainer.max_steps=1", "--trainer.enable_progress_bar=false", "--model.learning_rate=1e-3"),
]
QUERY = "encoder.layer.0.attention.self.query.weight"
Weights = dict[str, Tensor]


def change(folder: Path, how: Callable[[Weights], object], name: str = "model.safetensors") -> None:
    weights = load_file(folder / name)
    how(weights)
    save_file(weights, folder / name, metadata={"format": "pt"})


def network(folder: Path, labels: int = 3) -> torch.nn.Module:
    return backbone.load_network(str(folder), [str(n) for n in range(labels)], multi_label=False, dropout=None)


@pytest.mark.parametrize(
    "how",
    [
        lambda weights: weights.pop(QUERY),
        lambda weights: weights.update({QUERY: weights[QUERY][:16].clone()}),
        lambda weights: weights.update({"embeddings.word_embeddings.weight": torch.zeros(7, 32)}),
    ],
)
def test_an_encoder_that_is_not_whole(how: Callable[[Weights], object], tmp_path: Path) -> None:
    make_encoder("bert", tmp_path)
    change(tmp_path, how)
    with pytest.raises(
        UserError, match=r"is not a complete BertModel: missing or of another shape: 1 weight \(bert\."
    ) as info:
        network(tmp_path)
    assert "\n" not in str(info.value)


def test_weights_of_another_kind_of_encoder(tmp_path: Path) -> None:
    make_encoder("bert", tmp_path)
    change(tmp_path, lambda weights: [weights.update({f"odd.{name}": weights.pop(name)}) for name in list(weights)])
    with pytest.raises(UserError, match=r"another shape: \d\d weights \(bert\.\S+, bert\.\S+, bert\.\S+, \.\.\.\)"):
        network(tmp_path)


def test_a_pooler_and_a_head_may_be_new(tmp_path: Path) -> None:
    make_encoder("bert", tmp_path)
    change(tmp_path, lambda weights: [weights.pop(name) for name in list(weights) if "pooler" in name])
    network(tmp_path, labels=5).save_pretrained(tmp_path)  # type: ignore[operator]
    assert network(tmp_path, labels=3).config.num_labels == 3  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run that trains the upper layer alone."""
    folder = tmp_path_factory.mktemp("run")
    encoder = make_encoder("bert", folder / "backbone")
    words = [f"--model.backbone={encoder}", "--model.tuning=full", "--model.trainable_layers=1"]
    main(["fit", *SMALL, *words, f"--trainer.default_root_dir={folder}"])
    return folder / "emotion" / "version_0"


@pytest.mark.parametrize("shorten", [False, True])
@pytest.mark.parametrize("layer", [0, 1])
def test_a_full_checkpoint(run: Path, layer: int, shorten: bool) -> None:
    """Layers that did not train are in it too, because it needs no base model."""
    content = checkpoint.read_checkpoint(run)
    name = f"network.body.bert.encoder.layer.{layer}.output.dense.weight"
    weight = content["state_dict"].pop(name)
    if shorten:
        content["state_dict"][name] = weight[:3]
    model = EmotionClassifier(**content[checkpoint.MODEL_KEY])
    with pytest.raises(UserError, match=f"the checkpoint does not fit the model: .*{name}"):
        model.on_load_checkpoint(content)


@pytest.mark.parametrize("shorten", [False, True])
def test_an_export(run: Path, tmp_path: Path, shorten: bool) -> None:
    main(["export", f"--ckpt_path={run}", f"--output={tmp_path / 'hf'}"])
    name = f"bert.{QUERY}"

    def spoil(weights: Weights) -> None:
        weight = weights.pop(name)
        if shorten:
            weights[name] = weight[:3].clone()

    change(tmp_path / "hf", spoil)
    with pytest.raises(UserError, match=r"hf cannot be loaded: .*(1 weight|size mismatch|shape|mismatched)"):
        load(tmp_path / "hf")


def test_an_adapter(tmp_path: Path) -> None:
    encoder = make_encoder("bert", tmp_path / "backbone")
    main(["fit", *SMALL, f"--model.backbone={encoder}", f"--trainer.default_root_dir={tmp_path}"])
    main(
        [
            "export",
            f"--ckpt_path={tmp_path / 'emotion' / 'version_0'}",
            f"--output={tmp_path / 'a'}",
            "--format=adapter",
        ]
    )
    for shorten in (False, True):
        shutil.copytree(tmp_path / "a", tmp_path / str(shorten))

        def spoil(weights: Weights, shorten: bool = shorten) -> None:
            name = next(name for name in weights if "lora_B" in name)
            weight = weights.pop(name)
            if shorten:
                weights[name] = weight[:3].clone()

        change(tmp_path / str(shorten), spoil, "adapter_model.safetensors")
        with pytest.raises(UserError, match=r"cannot be loaded: .*(1 weight|shape|mismatch|does not fit)"):
            load(tmp_path / str(shorten), backbone=str(encoder))
    assert load(tmp_path / "a", backbone=str(encoder))("what a day").label
