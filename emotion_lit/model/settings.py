"""The settings of a model, checked in one place and independent of Lightning."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from emotion_lit.data.labels.label_set import check_names
from emotion_lit.errors import UserError
from emotion_lit.model.decision import DEFAULT_THRESHOLD, Decision
from emotion_lit.model.network import Pooling
from emotion_lit.model.tuning import LoraSettings, TrainableLayers, Tuning
from emotion_lit.utils.names import listed
from emotion_lit.utils.paths import expanded

Schedule = Literal["linear", "cosine", "constant"]
ClassWeights = Literal["none", "balanced"] | list[float]
# Which numbers a setting may be.
RANGES: tuple[tuple[tuple[str, ...], Callable[[float], bool], str], ...] = (
    (("warmup", "label_smoothing", "threshold", "dropout"), lambda x: 0 <= x < 1, "at least 0 and below 1"),
    (("temperature", "class_weights"), lambda x: 0 < x < math.inf, "a number above 0"),
    (("learning_rate", "head_learning_rate", "weight_decay"), lambda x: 0 <= x < math.inf, "at least 0"),
)


@dataclass(frozen=True)
class ModelSettings:
    """The settings under `model`, which are the arguments of `EmotionClassifier`.

    Checkpoints store them as plain values.

    Args:
        labels: Class names in the order of their ids. On the command line they come from the data.
        multi_label: Whether a text can have several classes. On the command line it comes from the data.
        backbone: Pre-trained encoder: a Hub id, a folder with a transformers model, or `embedded`.
        tuning: Which weights are trained: `head` (frozen encoder), `lora` (adapters and the head), or `full` (all).
        pooling: Input of the classification head. `cls` uses the architecture's own head, which transformers can load;
            `mean` uses mean-pooled token states of three layers and a two-layer head. Default: `mean` with `head`,
            `cls` with `lora` and `full`.
        lora: LoRA adapters.
        trainable_layers: Upper layers of the encoder that are trained (`full`) or get adapters (`lora`): a number of
            layers, or a share such as 0.67. 1.0 freezes only the embeddings. Default: the whole encoder.
        learning_rate: Learning rate of the encoder or its adapters. The default depends on the encoder's width; for
            BERT-base it is 5e-4 with `lora` and 5e-5 with `full`.
        head_learning_rate: Learning rate of the pooler and the classifier. Default: 3e-4 with `head`, 1e-3 with the
            others.
        weight_decay: Weight decay of AdamW. Biases and normalization layers have none.
        warmup: Share of the training steps over which the learning rates rise from zero.
        schedule: Decay of the learning rates after warmup: `linear` or `cosine` to zero, or `constant`.
        dropout: Dropout probability in the encoder and the head. Default: the encoder's own, and 0.5 in the `mean`
            head.
        label_smoothing: Share of the target that is spread evenly over all classes. Single-label only.
        class_weights: Class weights in the training loss: `none`, `balanced`, or a list in the order of the labels.
            Single-label: a weight multiplies the loss of the rows of its class, and `balanced` is inversely
            proportional to the class frequencies in the training rows. Multi-label: a weight multiplies the loss of
            the rows that have the class (`pos_weight`), and `balanced` is negatives over positives, from 0.01 to 100.
        threshold: Decision threshold for multi-label prediction: one value for all classes, or one per class. It is
            compared with the calibrated probability, the one in every output. A value that you set is kept; otherwise
            it is 0.5 while training, and `fit` ends by choosing for each class the threshold with the best F1 on
            validation.
        temperature: Calibration temperature, by which logits are divided. It does not change the most probable class.
            By default `fit` ends by choosing the one with the smallest loss on validation; 1 turns calibration off.
        cache_features: Whether `fit` computes the outputs of frozen layers once per text and caches them on disk: of a
            frozen encoder (`head` with `mean`), or of the lower layers that `trainable_layers` freezes, if it saves
            time.
        compile_encoder: Whether `fit` runs the encoder through torch.compile. Texts are padded to a few lengths, so
            that it compiles once. It needs a C++ compiler and about a minute, and is meant for GPUs.
        fast_paths: Whether to use optimizations that rely on internals of transformers and peft: merged LoRA layers, a
            last layer that computes only the first token, faster attention and dropout on CPUs, frozen layers that run
            once, and CUDA graphs on GPUs. What cannot be used is left out with a notice, and all but the graphs is
            checked at the start for unchanged logits.

    Raises:
        UserError: A setting is out of range.
    """

    labels: list[str]
    multi_label: bool = False
    backbone: str = "bert-base-uncased"
    tuning: Tuning = "lora"
    pooling: Pooling = None  # type: ignore[assignment]  # the default depends on `tuning`; None is replaced below
    lora: LoraSettings = LoraSettings()  # noqa: RUF009, nothing changes it
    trainable_layers: TrainableLayers = None
    learning_rate: float | None = None
    head_learning_rate: float | None = None
    weight_decay: float = 0.01
    warmup: float = 0.06
    schedule: Schedule = "linear"
    dropout: float | None = None
    label_smoothing: float = 0.0
    class_weights: ClassWeights = "none"
    threshold: float | list[float] | None = None
    temperature: float | None = None
    cache_features: bool = True
    compile_encoder: bool = False
    fast_paths: bool = True

    def __post_init__(self) -> None:
        """Checks the values and fills in the pooling."""
        if len(self.labels) < 2:
            raise UserError(f"a classifier needs at least two labels, but got {listed(self.labels)}")
        check_names(self.labels)
        for one in dataclasses.fields(self):
            if getattr(self, one.name) is None and one.default is not None:
                raise UserError(f"model.{one.name} is None, which it cannot be; leave it out for its default")
        if not self.backbone:
            raise UserError("model.backbone is empty; give it a value, or leave it out")
        for keys, is_valid, expected in RANGES:
            for key in keys:
                odd = next((value for value in _values(getattr(self, key)) if not is_valid(value)), None)
                if odd is not None:
                    raise UserError(f"model.{key} is {odd}; it should be {expected}")
        for key in ("class_weights", "threshold"):
            given = getattr(self, key)
            if isinstance(given, list) and len(given) != len(self.labels):
                raise UserError(f"model.{key} has {len(given)} entries for {len(self.labels)} labels")
        lora = LoraSettings(**self.lora) if isinstance(self.lora, dict) else self.lora  # a checkpoint has plain values
        self._fill_in(
            labels=list(self.labels),
            backbone=expanded(self.backbone),
            pooling=self.pooling or ("mean" if self.tuning == "head" else "cls"),
            lora=lora,
        )

    def _fill_in(self, **values: Any) -> None:
        for key, value in values.items():
            object.__setattr__(self, key, value)

    @property
    def decision(self) -> Decision:
        """How logits become probabilities and labels."""
        threshold = DEFAULT_THRESHOLD if self.threshold is None else self.threshold
        thresholds = threshold if isinstance(threshold, list) else [threshold] * len(self.labels)
        return Decision(tuple(self.labels), self.multi_label, self.temperature or 1.0, tuple(thresholds))

    def as_plain(self) -> dict[str, Any]:
        """The settings as lists, dicts, strings and numbers, from which the same settings can be made."""
        return dataclasses.asdict(self)


def _values(setting: Any) -> list[float]:
    """The numbers of a setting that may be a list, a number, a word or None."""
    if isinstance(setting, list):
        return setting
    return [] if setting is None or isinstance(setting, str) else [setting]
