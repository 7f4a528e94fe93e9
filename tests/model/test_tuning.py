import pytest
import torch

from emotion_lit import EmotionClassifier
from emotion_lit.errors import UserError
from emotion_lit.model.tuning import LoraSettings


def classifier(**settings: object) -> EmotionClassifier:
    model = EmotionClassifier(["a", "b", "c"], backbone="embedded", **settings)  # type: ignore[arg-type]
    model.build()
    return model


def trained(model: EmotionClassifier) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_head_trains_pooler_and_classifier_alone() -> None:
    names = trained(classifier(tuning="head", pooling="cls"))
    assert {name.split(".")[-2] for name in names} == {"dense", "classifier"}
    assert all("pooler" in name or "classifier" in name for name in names)
    assert len(names) == 4


def test_head_pools_by_mean_unless_told() -> None:
    model = classifier(tuning="head")
    assert model.settings.pooling == "mean"
    assert all(name.startswith("network.head.") for name in trained(model))


def test_lora_adapts_every_linear_layer_and_trains_the_pooler() -> None:
    names = trained(classifier(tuning="lora"))
    adapters = {name for name in names if "lora_" in name}
    assert len(adapters) == 6 * 6 * 2  # layers, linear layers in each, A and B
    assert {name for name in names - adapters if "pooler" in name}
    assert {name for name in names - adapters if "classifier" in name}
    assert len(names - adapters) == 4


def test_lora_targets_by_ending() -> None:
    names = trained(classifier(tuning="lora", lora=LoraSettings(targets=["query", "value"])))
    assert sum("lora_" in name for name in names) == 6 * 2 * 2
    with pytest.raises(UserError, match=r"model\.lora\.targets.*query"):
        classifier(tuning="lora", lora=LoraSettings(targets=["q_proj"]))


def test_full_trains_everything() -> None:
    assert all(parameter.requires_grad for parameter in classifier(tuning="full").parameters())


@pytest.mark.parametrize("tuning", ["head", "lora", "full"])
def test_padding_changes_nothing(tuning: str) -> None:
    model = classifier(tuning=tuning).eval()
    alone = {"input_ids": torch.tensor([[101, 2054, 1037, 2154, 102]])}
    padded = {
        "input_ids": torch.tensor([[101, 2054, 1037, 2154, 102, 0, 0], [101, 1, 2, 3, 4, 5, 102]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1, 1, 0, 0], [1] * 7]),
    }
    with torch.inference_mode():
        torch.testing.assert_close(model(alone)[0], model(padded)[0], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("layers_or_share", [2, 0.33])
@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_upper_layers_alone(tuning: str, layers_or_share: float) -> None:
    names = trained(classifier(tuning=tuning, trainable_layers=layers_or_share))
    layers = {name.split(".layer.")[1].split(".")[0] for name in names if ".layer." in name}
    assert layers == {"4", "5"}
    assert not any("embeddings" in name for name in names)
    assert any("pooler" in name for name in names)


def test_all_layers_leaves_out_the_embeddings() -> None:
    everything, layers = trained(classifier(tuning="full")), trained(classifier(tuning="full", trainable_layers=1.0))
    assert {name for name in everything - layers if "embeddings" not in name} == set()
    assert {name for name in layers if "embeddings" in name} == set()


@pytest.mark.parametrize("layers", [7, 0, -1, 0.0])
def test_more_layers_than_there_are(layers: float) -> None:
    with pytest.raises(UserError, match=rf"model\.trainable_layers is {layers}, and the encoder has 6 layers"):
        classifier(tuning="lora", trainable_layers=layers)
