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
    """What `EmotionClassifier` takes, which documents each setting; checkpoints store it as plain values.

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
            raise UserError(f"a classifier needs at least two labels; there is {listed(self.labels)}")
        check_names(self.labels)
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
