"""The contents that a checkpoint may have, with their types: a closed list that does not depend on Lightning."""

import typing
from typing import Any, Literal

from torch import Tensor

from emotion_lit.data.settings import NOT_SAVED, DataSettings
from emotion_lit.model.checkpoint.keys import AVERAGING, CURRENT, DATA_KEY, MODEL_KEY, TRAINER_KEY
from emotion_lit.model.settings import ModelSettings

Types = dict[str, Any]
Precision = (
    Literal[
        16, 32, 64, "16", "32", "64", "bf16", "16-true", "16-mixed", "bf16-true", "bf16-mixed", "32-true", "64-true"
    ]
    | Literal["64-true", "transformer-engine", "transformer-engine-float16"]
)

# Settings of the Trainer that decide the result of a run; the others belong to the machine on which it runs.
TRAINER: Types = {
    "max_epochs": int | None,
    "max_steps": int,
    "min_epochs": int | None,
    "min_steps": int | None,
    "accumulate_grad_batches": int,
    "gradient_clip_val": float | None,
    "gradient_clip_algorithm": str | None,
    "precision": Precision | None,
    "limit_train_batches": float | None,
    "limit_val_batches": float | None,
    "val_check_interval": float | str | dict[str, int] | None,
    "check_val_every_n_epoch": int | None,
    "limit_test_batches": float | None,
    "overfit_batches": float,
    "max_time": str | dict[str, int] | None,
    "log_every_n_steps": int | None,
    "deterministic": bool | Literal["warn"] | None,
    "detect_anomaly": bool,
}
MODE = Literal["min", "max"] | None
# The settings of `BestCheckpoint`, `LastCheckpoint`, `RunReport` and `EarlyStopping`.
BEST: Types = {"monitor": str | None, "mode": MODE, "save_top_k": int, "dirpath": str | None, "filename": str}
LAST: Types = {"every_minutes": float}
REPORT: Types = {"baselines": bool, "enabled": bool}
EARLY_STOPPING: Types = {
    "monitor": str | None,
    "mode": MODE,
    "patience": int,
    "min_delta": float,
    "verbose": bool,
    "strict": bool,
    "check_finite": bool,
    "stopping_threshold": float | None,
    "divergence_threshold": float | None,
    "check_on_train_epoch_end": bool | None,
    "log_rank_zero_only": bool,
}
# The parts from which Lightning resumes a run, if they are there.
LIGHTNING: Types = {
    "epoch": int,
    "global_step": int,
    "pytorch-lightning_version": str,
    "loops": dict[str, Any],
    "callbacks": dict[str, dict[str, Any]],
    "optimizer_states": list[dict[str, Any]],
    "lr_schedulers": list[dict[str, Any]],
    CURRENT: dict[str, Tensor],
    AVERAGING: dict[str, Tensor],
}
OWN: Types = {
    "format": int,
    "version": str,
    "backbone": dict[Literal["name", "network_sha256", "tokenizer_sha256"], str],
    "files": dict[str, str],
    "files_sha256": str,
    "weights_sha256": str,
    "paths": dict[str, str],
}
# The settings in each section.
SECTIONS: dict[str, Types] = {
    MODEL_KEY: typing.get_type_hints(ModelSettings),
    DATA_KEY: {key: kind for key, kind in typing.get_type_hints(DataSettings).items() if key not in NOT_SAVED},
    TRAINER_KEY: {
        "seed_everything": bool | int | None,
        "name": str,
        "checkpoint": BEST,
        "last": LAST,
        "report": REPORT,
        "early_stopping": EARLY_STOPPING,
        "trainer": TRAINER,
    },
}
# Without these, predictions would silently differ.
REQUIRED = {
    MODEL_KEY: (
        *("labels", "multi_label", "backbone", "tuning", "pooling", "lora", "trainable_layers"),
        *("threshold", "temperature"),
    ),
    DATA_KEY: ("max_length",),
}
# Larger batches, adapters and lengths come from no training.
LARGEST = {"tokens_per_batch": 2**20, "batch_size": 2**16, "max_length": 2**20, "rank": 2**14}
