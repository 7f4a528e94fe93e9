"""The peer of a sweep: `Trainer.hyperparameter_search` with Optuna, on the same rows. Prints its measures as JSON."""

import argparse
import json
import sys
import tempfile
import time
from typing import Any

import optuna
import torch
from transformers import AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments

from emotion_lit import EmotionDataModule
from emotion_lit.model.backbone import locate
from emotion_lit.model.precision import BFLOAT, native_precision
from emotion_lit.utils.platforms import device_type
from tests.benchmarks.trainer import ALL_LINEAR, _encoded, _macro_f1, _model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tuning", choices=["head", "lora", "full"], required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--train-size", type=int, required=True)
    parser.add_argument("--eval-size", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--trials", type=int, required=True)
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    start = time.perf_counter()
    sizes = {"train_size": options.train_size, "val_size": options.eval_size, "test_size": options.eval_size}
    data = EmotionDataModule(options.dataset, options.backbone, **sizes)
    tokenizer = AutoTokenizer.from_pretrained(locate(options.backbone))
    classes = len(data.label_names)
    with tempfile.TemporaryDirectory() as output:
        trainer = Trainer(
            args=_arguments(output),
            model_init=lambda _: _model(options.backbone, options.tuning, classes, ALL_LINEAR),
            train_dataset=_encoded(data, "train", tokenizer),
            eval_dataset=_encoded(data, "validation", tokenizer),
            data_collator=DataCollatorWithPadding(tokenizer),
            processing_class=tokenizer,
            compute_metrics=lambda predicted: {"macro_f1": _macro_f1(predicted)},
        )
        best: Any = trainer.hyperparameter_search(
            hp_space=lambda trial: _space(trial, options.epochs),
            compute_objective=lambda metrics: float(metrics["eval_macro_f1"]),
            n_trials=options.trials,
            direction="maximize",
            backend="optuna",
            sampler=optuna.samplers.TPESampler(seed=42),
        )
    measures = {"wall_seconds": time.perf_counter() - start, "validation_macro_f1": float(best.objective)}
    sys.stdout.write(json.dumps(measures) + "\n")


def _space(trial: optuna.Trial, epochs: int) -> dict[str, Any]:
    """The learning rate, weight decay, epochs and batch size of the default space; Trainer has one learning rate."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 4e-3, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-3, 0.3, log=True),
        "num_train_epochs": trial.suggest_int("num_train_epochs", -(-epochs // 2), 2 * epochs),
        "per_device_train_batch_size": trial.suggest_categorical("per_device_train_batch_size", [16, 32, 64]),
    }


def _arguments(output: str) -> TrainingArguments:
    return TrainingArguments(
        output,
        eval_strategy="epoch",
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        per_device_eval_batch_size=64,
        dataloader_pin_memory=False,
        use_cpu=not torch.cuda.is_available(),
        train_sampling_strategy="group_by_length",
        bf16=native_precision(device_type()) == BFLOAT,
        disable_tqdm=True,
        seed=42,
    )


if __name__ == "__main__":
    main()
