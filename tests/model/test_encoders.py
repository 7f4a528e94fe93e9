"""Any encoder works, with the logits of transformers, or is refused in a line; prints which, with ``-m slow``."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from emotion_lit import load
from emotion_lit.cli import main
from emotion_lit.model.backbone import load_tokenizer
from emotion_lit.model.positions import longest_text
from tests.conftest import failing
from tests.model.encoders import ARCHITECTURES, architecture_config, make_encoder

SMALL = [
    *("--data.dataset=sample", "--data.train_size=40", "--data.val_size=14", "--data.test_size=14"),
    *("--data.tokens_per_batch=512", "--model.learning_rate=1e-3", "--trainer.enable_progress_bar=false"),
]
TEXTS = ["no", "what a day this was, I have never been so happy", "leave me alone, will you?"]
NAMED = (
    *("bert", "roberta", "distilbert", "electra", "albert", "deberta", "deberta-v2", "modernbert", "mpnet"),
    *("xlm-roberta", "eurobert", "qwen3", "gpt2", "funnel", "squeezebert", "big_bird"),
)
TUNINGS = ("head", "lora", "full")
QUICK = [("gpt2", "lora"), ("xlnet", "full"), ("qwen3", "full"), ("deberta-v2", "lora"), ("layoutlm", "head")]
STEPS = ("fit", "resume", "predict", "hf", "adapter", "onnx")
NO_LINEAR, PADDING, WORDS = "has no linear layers that LoRA", "depend on the padding", "cannot classify texts with"
# What is refused, by architecture, tuning and step; None means any tuning.
REFUSED: dict[tuple[str, str | None, str], str] = {
    ("funnel", "head", "fit"): WORDS,
    ("squeezebert", "lora", "fit"): NO_LINEAR,
    ("funnel", "lora", "onnx"): "FunnelBaseModel was written as ONNX, but",
    ("funnel", "full", "onnx"): "FunnelBaseModel was written as ONNX, but",
    ("longformer", "lora", "onnx"): "LongformerModel was written as ONNX, but",
    ("ibert", "lora", "fit"): NO_LINEAR,
    ("convbert", None, "fit"): PADDING,
    ("fnet", None, "fit"): PADDING,
    ("yoso", None, "fit"): PADDING,
    ("nystromformer", None, "fit"): PADDING,
    ("canine", None, "fit"): WORDS,
    ("perceiver", None, "fit"): "is not a complete PerceiverModel: missing or of another shape: ",
}
# Their arithmetic overflows with fewer bits, inside of transformers.
SINGLE_ONLY = ("deberta",)
Table = dict[tuple[str, str], list[str]]


@pytest.fixture(scope="module")
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    """What came of each step, printed when all is done."""
    rows: Table = {}
    yield rows
    lines = [f"{'encoder':14} {'tuning':6} " + " ".join(f"{step:8}" for step in STEPS)]
    lines += [
        f"{name:14} {tuning:6} " + " ".join(f"{cell:8}" for cell in cells) for (name, tuning), cells in rows.items()
    ]
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("", *lines, sep="\n")


class Trial:
    """One encoder through all commands."""

    def __init__(self, name: str, tuning: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.name, self.tuning, self.folder, self.capsys = name, tuning, folder, capsys
        self.backbone = make_encoder(name, folder / "backbone")
        self.run = folder / "emotion" / "version_0"

    def outcomes(self, steps: tuple[str, ...]) -> list[str]:
        """What came of the steps: works, refused, or nothing if there is no trained model."""
        found: list[str] = []
        for step in steps:
            if found and found[0] == "refused":
                found.append("-")
                continue
            kind = (self.name, self.tuning, step)
            line = REFUSED.get(kind) or REFUSED.get((self.name, None, step)) or self._no_such_export(step)
            if line is None:
                self._step(step)()
                found.append("works")
            else:
                assert line in failing(self.capsys, *self._words(step))
                found.append("refused")
        return found

    def _no_such_export(self, step: str) -> str | None:
        if step == "adapter" and self.tuning != "lora":
            return "has no adapter"
        return "transformers has no head like that" if step == "hf" and self.tuning == "head" else None

    def _words(self, step: str) -> list[str]:
        precision = "--trainer.precision=32-true" if self.name in SINGLE_ONLY else "--trainer.max_steps=-1"
        fit = ["fit", *SMALL, precision, f"--trainer.default_root_dir={self.folder}"]
        texts, output = self.folder / "texts.txt", self.folder / "labels.csv"
        texts.write_text("\n".join(TEXTS) + "\n")
        return {
            "fit": [
                *fit,
                f"--model.backbone={self.backbone}",
                f"--model.tuning={self.tuning}",
                "--trainer.max_epochs=1",
            ],
            "resume": [*fit, f"--ckpt_path={self.run}", "--trainer.max_epochs=2"],
            "predict": [
                *("predict", f"--ckpt_path={self.run}", f"--data.predict_path={texts}"),
                f"--prediction.path={output}",
            ],
        }.get(step, ["export", f"--ckpt_path={self.run}", f"--output={self.folder / step}", f"--format={step}"])

    def _step(self, step: str) -> Callable[[], None]:
        def run() -> None:
            main(self._words(step))
            if step == "predict":
                with (self.folder / "labels.csv").open() as file:
                    rows = list(csv.DictReader(file))
                written = [[float(value) for key, value in row.items() if key.startswith("p_")] for row in rows]
                self._compare(torch.tensor(written), "batch")
            elif step == "hf":
                self._compare(self._by_transformers(), "transformers")
            if step in ("hf", "adapter", "onnx"):
                self._compare(load(self.folder / step, backbone=str(self.backbone)).probabilities(TEXTS), step)

        return run

    def _compare(self, found: torch.Tensor, what: str) -> None:
        """With the probabilities of each text by itself, for which nothing is padded."""
        model = load(self.run)
        alone = torch.cat([model.probabilities([text]) for text in TEXTS])
        torch.testing.assert_close(found.float(), alone, atol=1e-4, rtol=0, msg=lambda text: f"{what}: {text}")

    def _by_transformers(self) -> torch.Tensor:
        folder = self.folder / "hf"
        inputs = AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
        inputs.pop("token_type_ids", None)
        network: Any = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
        with torch.inference_mode():
            logits: torch.Tensor = network.eval()(**inputs).logits
        return logits.softmax(dim=1)


@pytest.mark.parametrize(("name", "tuning"), QUICK)
def test_some_encoders(
    name: str, tuning: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], no_figures: None
) -> None:
    steps = ("fit", "predict", "onnx") if tuning == "head" else ("fit", "predict", "hf")
    Trial(name, tuning, tmp_path, capsys).outcomes(steps)


@pytest.mark.slow
@pytest.mark.parametrize("tuning", TUNINGS)
@pytest.mark.parametrize("name", NAMED)
def test_every_encoder(
    name: str, tuning: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], no_figures: None, table: Table
) -> None:
    table[name, tuning] = Trial(name, tuning, tmp_path, capsys).outcomes(STEPS)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in NAMED])
def test_their_brothers(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], no_figures: None, table: Table
) -> None:
    table[name, "lora"] = Trial(name, "lora", tmp_path, capsys).outcomes(STEPS)


def _fit(backbone: Path, folder: Path) -> list[str]:
    settings = [*SMALL, f"--model.backbone={backbone}", "--trainer.max_epochs=1", "--trainer.precision=32-true"]
    return ["fit", *settings, f"--trainer.default_root_dir={folder}"]


def test_texts_with_several_end_tokens(tmp_path: Path, no_figures: None) -> None:
    main(_fit(make_encoder("t5", tmp_path / "backbone"), tmp_path))
    model = load(tmp_path / "emotion" / "version_0")
    texts = ["no", "so [SEP] sad [SEP]", "what a day", "a [SEP] b"]
    alone = torch.cat([model.probabilities([text]) for text in texts])
    torch.testing.assert_close(model.probabilities(texts), alone, atol=1e-5, rtol=0)


def test_an_encoder_that_fails_on_short_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Funnel's released encoders have three blocks; their logits depend on the padding, too.
    backbone = make_encoder("funnel", tmp_path / "backbone", block_sizes=[1, 1, 1], block_repeats=[1, 1, 1])
    line = failing(capsys, *_fit(backbone, tmp_path))
    assert "FunnelBaseModel cannot classify texts" in line
    assert "another backbone" in line


@pytest.mark.parametrize(
    ("name", "longest"), [("bert", 160), ("roberta", 158), ("gpt2", 160), ("opt", 160), ("qwen3", None)]
)
def test_positions_bound_a_text_whatever_the_tokenizer_says(name: str, longest: int | None, tmp_path: Path) -> None:
    architecture_config(name).save_pretrained(tmp_path)
    assert longest_text(str(tmp_path), up_to=10**6) == longest
    assert load_tokenizer("embedded").model_max_length > 160


def test_a_text_that_is_too_long(tmp_path: Path, capsys: pytest.CaptureFixture[str], no_figures: None) -> None:
    backbone = make_encoder("roberta", tmp_path / "backbone")
    words = ["fit", *SMALL, f"--model.backbone={backbone}", f"--trainer.default_root_dir={tmp_path}"]
    words += ["--trainer.max_steps=1", "--model.tuning=head"]
    line = failing(capsys, *words, "--data.max_length=159")
    assert line.endswith("the backbone reads at most 158 tokens; set --data.max_length 158")
    main([*words, "--data.max_length=158"])
    run = tmp_path / "emotion" / "version_1"
    texts = tmp_path / "long.txt"
    texts.write_text("no end " * 400)
    main(["predict", f"--ckpt_path={run}", f"--data.predict_path={texts}", f"--prediction.path={tmp_path / 'o.csv'}"])
    assert torch.isfinite(load(run).probabilities(["no end " * 400])).all()
    asked = ["predict", f"--ckpt_path={run}", f"--data.predict_path={texts}", "--data.max_length=400"]
    assert "at most 158 tokens" in failing(capsys, *asked, f"--prediction.path={tmp_path / 'p.csv'}")


@pytest.mark.parametrize("tuning", ["head", "full"])
def test_a_precision_that_the_encoder_cannot_train_in(
    tuning: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], no_figures: None
) -> None:
    backbone = make_encoder("deberta", tmp_path / "backbone")
    words = [f"--model.backbone={backbone}", f"--trainer.default_root_dir={tmp_path}", f"--model.tuning={tuning}"]
    line = failing(capsys, "fit", *SMALL, *words, "--trainer.precision=bf16-mixed")
    assert "DebertaModel cannot train with precision bf16-mixed" in line
    assert line.endswith("set --trainer.precision 32-true")
