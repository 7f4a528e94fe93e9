"""The evaluation at the end of `fit`, from the best checkpoint to the report."""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from emotion_lit.evaluation.baseline_cache import data_baselines
from emotion_lit.evaluation.baselines import majority
from emotion_lit.evaluation.calibration import calibrate
from emotion_lit.evaluation.labeled_predictions import LabeledPredictions, true_classes
from emotion_lit.evaluation.metrics import evaluate_predictions
from emotion_lit.evaluation.prediction_table import AFTER, BEFORE, MAJORITY, TFIDF, PredictionTable
from emotion_lit.evaluation.summary import summarize
from emotion_lit.model.checkpoint import DATA_KEY, MODEL_KEY, Checkpoint, from_here, portable, read_checkpoint
from emotion_lit.model.parameters import parameter_counts
from emotion_lit.reporting.environment import environment
from emotion_lit.reporting.run_report import PREDICTIONS_FILE, write_report
from emotion_lit.reporting.score_tables import headline_rows
from emotion_lit.training.callbacks.before_fine_tuning import BeforeFineTuning
from emotion_lit.training.callbacks.best_checkpoint import best_checkpoint
from emotion_lit.training.callbacks.context import callback_of
from emotion_lit.training.callbacks.throughput import Throughput
from emotion_lit.training.callbacks.validation_figures import ValidationFigures
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.training.fsdp import is_sharded
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.training.report_figures import draw_report, embed_validation, has_tensorboard
from emotion_lit.training.split_predictions import predict_split
from emotion_lit.utils import device_memory, nonfatal
from emotion_lit.utils.commands import PROGRAM, command_line
from emotion_lit.utils.console import say, show
from emotion_lit.utils.console_tables import table
from emotion_lit.utils.memory import peak_memory_mb, return_freed_memory

# The rest of the command that is printed at the end; the names of these files are only examples.
PREDICT_FILES = ("--data.predict_path", "texts.txt", "--prediction.path", "predictions.csv")


@dataclass(frozen=True)
class FinalEvaluation:
    """Scores the best checkpoint on the test split, and compares it with baselines.

    Args:
        callback: The callback that asks for it.
        trainer: The Trainer, at the end of `fit`.
        model: The model.
        data: The data.
    """

    callback: pl.Callback
    trainer: pl.Trainer
    model: EmotionClassifier
    data: EmotionDataModule

    def write_report(self, folder: Path, baselines: bool) -> None:
        """Scores in all processes; the first one then writes, without the others waiting for it.

        Args:
            folder: The run folder.
            baselines: Whether to fit the TF-IDF baseline and to look for contamination.
        """
        start = time.perf_counter()
        best = self._best_file()
        validation = self._calibrate(best)
        collected = predict_split(self.trainer, self.model, self.data, "test", "after training, test")
        embedded = embed_validation(self.trainer, self.model, self.data)
        if not self.trainer.is_global_zero:
            return
        self._store_decision(best)
        predictions = collected.predictions(self.model.multi_label, list(self.model.decision.thresholds))
        kept, costs = self._with_baselines(predictions, baselines)
        with nonfatal.suppress(PREDICTIONS_FILE):
            kept.save(folder / PREDICTIONS_FILE)
        report = self._contents(kept, costs, validation, best)
        drawn = draw_report(self.trainer, self.model, self.data, report, kept, folder, embedded)
        report["training"]["evaluation_seconds"] = time.perf_counter() - start + self._earlier_seconds()
        show("\n" + table(headline_rows({f"test {name}": report[name] for name in (BEFORE, AFTER) if name in report})))
        write_report(report, drawn, folder)
        say(_next_steps(folder, best, has_tensorboard(self.trainer)), wrap=False)

    def calibrate_best(self) -> None:
        """Fits temperature and thresholds of the best checkpoint on validation, and leaves the test split alone."""
        best = self._best_file()
        self._calibrate(best)
        if self.trainer.is_global_zero:
            self._store_decision(best)

    def _best_file(self) -> Path | None:
        """The best checkpoint; for a run without a validation, one of the weights as they are now."""
        keeper = best_checkpoint(self.trainer)
        if keeper is None:
            return None
        keeper.ensure(self.trainer)
        return keeper.best_file

    def _calibrate(self, best: Path | None) -> LabeledPredictions:
        """Restores the best weights, and fits temperature and thresholds to them; the predictions of validation."""
        checkpoint = read_checkpoint(best) if best else None
        if checkpoint:
            self.model.on_load_checkpoint(checkpoint)
            self.model.load_state_dict(checkpoint["state_dict"])
        if not is_sharded(self.trainer.strategy):
            self.model.to(self.trainer.strategy.root_device)  # Lightning has moved it to the CPU by now
        settings = self.model.settings
        validation, temperature, threshold = calibrate(
            self._validation(checkpoint), settings.temperature, settings.threshold
        )
        self.model.change_settings(temperature=temperature, threshold=threshold)
        return validation

    def _validation(self, checkpoint: Checkpoint | None) -> LabeledPredictions:
        """The best model's predictions of the validation rows: those kept since that validation, or new ones."""
        validation = callback_of(self.callback, self.trainer, ValidationFigures)
        is_of_best = checkpoint is not None and checkpoint["global_step"] == validation.best_step
        if validation.best and is_of_best and len(validation.best) == len(self.data.rows("validation")):
            return validation.best
        collected = predict_split(self.trainer, self.model, self.data, "validation", "after training, validation")
        return collected.predictions(self.model.multi_label, list(self.model.decision.thresholds))

    def _store_decision(self, best: Path | None) -> None:
        """Stores the temperature and the thresholds in the best checkpoint."""
        keeper, settings = best_checkpoint(self.trainer), self.model.settings
        if best and keeper:
            with nonfatal.suppress(f"the temperature in {best}"):
                keeper.update_hyperparameters(
                    self.trainer, {"temperature": settings.temperature, "threshold": settings.threshold}
                )

    def _with_baselines(
        self, predictions: LabeledPredictions, baselines: bool
    ) -> tuple[PredictionTable, dict[str, dict[str, float]]]:
        """The predictions of the model and its baselines, and the costs of each: seconds and trained parameters."""
        model, data = self.model, self.data
        train, test, prepared = data.rows("train"), data.rows("test"), data.prepared("train")
        truth = true_classes(prepared.targets.numpy(), prepared.first.numpy(), model.multi_label)
        results, overlaps = {MAJORITY: majority(truth, len(test))}, None
        if baselines:
            found = data_baselines(
                train.texts, truth, test.texts, model.multi_label, data.corpus.fingerprint, data.settings.cache_folder
            )
            results[TFIDF], overlaps = found.tfidf, found.overlaps
        others = {name: result.probabilities for name, result in results.items()}
        costs = {name: {"seconds": one.seconds, "parameters": one.parameters} for name, one in results.items()}
        before = callback_of(self.callback, self.trainer, BeforeFineTuning).probabilities(len(test))
        if before is not None:
            others[BEFORE] = before
        counts = callback_of(self.callback, self.trainer, Throughput).counts
        costs[BEFORE] = {"seconds": 0.0, "parameters": 0}
        costs[AFTER] = {
            "seconds": counts["train_seconds"] + counts["encode_seconds"],
            "parameters": parameter_counts(model)[0],
        }
        return_freed_memory()
        temperature = model.settings.temperature or 1.0
        kept = PredictionTable.from_predictions(
            predictions, test.texts, test.sources, model.labels, temperature, others, overlaps
        )
        return kept, costs

    def _contents(
        self,
        kept: PredictionTable,
        costs: dict[str, dict[str, float]],
        validation: LabeledPredictions,
        best: Path | None,
    ) -> dict[str, Any]:
        """The content of report.json."""
        model, data = self.model, self.data
        summary = summarize(kept, model.decision.temperature, costs)
        summary[AFTER]["validation"] = evaluate_predictions(validation, model.labels, data.rows("validation").sources)
        return {
            **summary,
            "model": portable(MODEL_KEY, model.settings.as_plain()),
            "training": self._training(best),
            "data": {**data.describe(), "settings": portable(DATA_KEY, data.settings.saved)},
            "environment": environment(model.device),
        }

    def _training(self, best: Path | None) -> dict[str, Any]:
        """The section `training` of report.json: times, speed, memory and sizes."""
        throughput = callback_of(self.callback, self.trainer, Throughput)
        trained, total = parameter_counts(self.model)
        gpu = device_memory.peak(self.model.device) / 2**20 if self.model.device.type == "cuda" else None
        return {
            "wall_seconds": throughput.counts["wall_seconds"],
            "train_seconds": throughput.counts["train_seconds"],
            "encode_seconds": throughput.counts["encode_seconds"],
            **throughput.rates(self.trainer.world_size),
            "matrix_peak_gflops": throughput.estimate.peak_flops / 1e9,
            # If nothing was trained, the number of batches is still infinite.
            "epochs": math.ceil(throughput.counts["steps"] / max(1, self.trainer.num_training_batches)),
            "steps": self.trainer.global_step,
            "precision": str(self.trainer.precision),
            "peak_memory_mb": peak_memory_mb(),
            "peak_gpu_memory_mb": gpu,
            "tf32": None if gpu is None else torch.get_float32_matmul_precision() != "highest",
            "cuda_graphs": self.model.acceleration.graph_summary,
            "trainable_parameters": trained,
            "total_parameters": total,
            "checkpoint_bytes": best.stat().st_size if best else None,
        }

    def _earlier_seconds(self) -> float:
        """The time of the evaluation before training, and of drawing each validation."""
        before = callback_of(self.callback, self.trainer, BeforeFineTuning)
        return before.seconds + callback_of(self.callback, self.trainer, ValidationFigures).seconds


def _next_steps(folder: Path, best: Path | None, has_curves: bool) -> str:
    lines = [f"\nreport       {from_here(folder / 'report.html')}"]
    if has_curves:
        lines.append(f"TensorBoard  {command_line('tensorboard', '--logdir', from_here(folder.parent))}")
    if best:
        predict = ("predict", "--ckpt_path", from_here(best), *PREDICT_FILES)
        lines.append(f"label texts with\n{command_line(*PROGRAM, *predict)}")
    return "\n".join(lines)
