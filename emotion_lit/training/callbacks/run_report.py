"""Writes the report at the end of `fit`."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import torch

from emotion_lit.model.checkpoint import DATA_KEY, MODEL_KEY, Checkpoint, from_here, portable, read_checkpoint
from emotion_lit.model.parameters import parameter_counts
from emotion_lit.training.callbacks.best_checkpoint import best_checkpoint
from emotion_lit.training.callbacks.context import callback_of, data_of, model_of
from emotion_lit.training.callbacks.throughput import Throughput
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.utils import nonfatal
from emotion_lit.utils.commands import PROGRAM, command_line
from emotion_lit.utils.console import say, show
from emotion_lit.utils.console_tables import table
from emotion_lit.utils.memory import peak_memory_mb, return_freed_memory

if TYPE_CHECKING:
    from emotion_lit.evaluation.prediction_table import PredictionTable
    from emotion_lit.evaluation.predictions import Predictions

# The rest of the command that is printed at the end; the names of these files are only examples.
PREDICT_FILES = ("--data.predict_path", "texts.txt", "--prediction.path", "predictions.csv")


class RunReport(pl.Callback):
    """Scores the best checkpoint on the test split, compares it with baselines, and writes the report.

    Args:
        baselines: Fit the TF-IDF baseline, and look for test texts that also occur in train. Both depend on the data
            alone and are cached. False leaves them out of the report.
    """

    def __init__(self, baselines: bool = True) -> None:
        self.baselines = baselines

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the report, and prints the scores and what to type next."""
        model, data = model_of(self, pl_module), data_of(self, trainer)
        folder = Path(trainer.log_dir or ".")  # asks all processes
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        with nonfatal.suppress("the report"):
            self._report(trainer, model, data, folder)
        nonfatal.summarize()

    def _report(self, trainer: pl.Trainer, model: EmotionClassifier, data: EmotionDataModule, folder: Path) -> None:
        """Scores in all processes; the first one then writes, without the others waiting for it."""
        # Imported here, because `predict` has this callback too and needs none of it.
        from emotion_lit.evaluation.calibration import calibrate
        from emotion_lit.evaluation.metrics import evaluate_predictions
        from emotion_lit.evaluation.prediction_table import AFTER, BEFORE
        from emotion_lit.evaluation.summary import summarize
        from emotion_lit.reporting.environment import environment
        from emotion_lit.reporting.run_report import PREDICTIONS_FILE, write_report
        from emotion_lit.reporting.tables import headline_rows
        from emotion_lit.training.report_figures import draw_report, has_tensorboard
        from emotion_lit.training.split_predictions import predict_split

        start = time.perf_counter()
        best = _best_file(trainer)
        checkpoint = read_checkpoint(best) if best else None
        if checkpoint:
            model.on_load_checkpoint(checkpoint)
            model.load_state_dict(checkpoint["state_dict"])
        model.to(trainer.strategy.root_device)  # Lightning has moved it to the CPU by now
        validation = self._validation(trainer, model, data, checkpoint)
        validation, temperature, threshold = calibrate(validation, model.settings.temperature, model.settings.threshold)
        model.change_settings(temperature=temperature, threshold=threshold)
        collected = predict_split(trainer, model, data, "test", "after training, test")
        if not trainer.is_global_zero:
            return
        if best and (keeper := best_checkpoint(trainer)):
            with nonfatal.suppress(f"the temperature in {best}"):
                keeper.update_hyperparameters(trainer, {"temperature": temperature, "threshold": threshold})
        predictions = collected.predictions(model.multi_label, list(model.decision.thresholds))
        kept, costs = self._with_baselines(trainer, predictions, model, data)
        with nonfatal.suppress(PREDICTIONS_FILE):
            kept.save(folder / PREDICTIONS_FILE)
        summary = summarize(kept, temperature, costs)
        summary[AFTER]["validation"] = evaluate_predictions(validation, model.labels, data.rows("validation").sources)
        report = {
            **summary,
            "model": portable(MODEL_KEY, model.settings.as_plain()),
            "training": self._training(trainer, model, best),
            "data": {**data.describe(), "settings": portable(DATA_KEY, data.settings.saved)},
            "environment": environment(model.device),
        }
        drawn = draw_report(trainer, model, data, report, kept, folder)
        report["training"]["evaluation_seconds"] = time.perf_counter() - start + self._earlier_seconds(trainer)
        show("\n" + table(headline_rows({f"test {name}": report[name] for name in (BEFORE, AFTER) if name in report})))
        write_report(report, drawn, folder)
        say(_next_steps(folder, best, has_tensorboard(trainer)), wrap=False)

    def _validation(
        self, trainer: pl.Trainer, model: EmotionClassifier, data: EmotionDataModule, checkpoint: Checkpoint | None
    ) -> "Predictions":
        """The best model's predictions of the validation rows: those kept since that validation, or new ones."""
        from emotion_lit.training.callbacks.validation import ValidationFigures
        from emotion_lit.training.split_predictions import predict_split

        validation = callback_of(self, trainer, ValidationFigures)
        is_of_best = checkpoint is not None and checkpoint["global_step"] == validation.best_step
        if validation.best and is_of_best and len(validation.best) == len(data.rows("validation")):
            return validation.best
        collected = predict_split(trainer, model, data, "validation", "after training, validation")
        return collected.predictions(model.multi_label, list(model.decision.thresholds))

    def _with_baselines(
        self, trainer: pl.Trainer, predictions: "Predictions", model: EmotionClassifier, data: EmotionDataModule
    ) -> tuple["PredictionTable", dict[str, dict[str, float]]]:
        """The predictions of the model and its baselines, and the costs of each: seconds and trained parameters."""
        from emotion_lit.evaluation.baseline_cache import data_baselines
        from emotion_lit.evaluation.baselines import majority
        from emotion_lit.evaluation.prediction_table import AFTER, BEFORE, MAJORITY, TFIDF, PredictionTable
        from emotion_lit.evaluation.predictions import true_classes
        from emotion_lit.training.callbacks.before_fine_tuning import BeforeFineTuning

        train, test, prepared = data.rows("train"), data.rows("test"), data.prepared("train")
        truth = true_classes(prepared.targets.numpy(), prepared.first.numpy(), model.multi_label)
        results, overlaps = {MAJORITY: majority(truth, len(test))}, None
        if self.baselines:
            found = data_baselines(
                train.texts, truth, test.texts, model.multi_label, data.corpus.fingerprint, data.settings.cache_folder
            )
            results[TFIDF], overlaps = found.tfidf, found.overlaps
        others = {name: result.probabilities for name, result in results.items()}
        costs = {name: {"seconds": one.seconds, "parameters": one.parameters} for name, one in results.items()}
        before = callback_of(self, trainer, BeforeFineTuning).probabilities(len(test))
        if before is not None:
            others[BEFORE] = before
        counts = callback_of(self, trainer, Throughput).counts
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

    def _training(self, trainer: pl.Trainer, model: EmotionClassifier, best: Path | None) -> dict[str, Any]:
        throughput = callback_of(self, trainer, Throughput)
        trained, total = parameter_counts(model)
        gpu = torch.cuda.max_memory_allocated() / 2**20 if model.device.type == "cuda" else None
        return {
            "wall_seconds": throughput.counts["wall_seconds"],
            "train_seconds": throughput.counts["train_seconds"],
            "encode_seconds": throughput.counts["encode_seconds"],
            **throughput.rates(trainer.world_size),
            "matrix_peak_gflops": throughput.estimate.peak_flops / 1e9,
            # If nothing was trained, the number of batches is still infinite.
            "epochs": math.ceil(throughput.counts["steps"] / max(1, trainer.num_training_batches)),
            "steps": trainer.global_step,
            "precision": str(trainer.precision),
            "peak_memory_mb": peak_memory_mb(),
            "peak_gpu_memory_mb": gpu,
            "trainable_parameters": trained,
            "total_parameters": total,
            "checkpoint_bytes": best.stat().st_size if best else None,
        }

    def _earlier_seconds(self, trainer: pl.Trainer) -> float:
        """The time of the evaluation before training, and of drawing each validation."""
        from emotion_lit.training.callbacks.before_fine_tuning import BeforeFineTuning
        from emotion_lit.training.callbacks.validation import ValidationFigures

        before = callback_of(self, trainer, BeforeFineTuning)
        return before.seconds + callback_of(self, trainer, ValidationFigures).seconds


def _best_file(trainer: pl.Trainer) -> Path | None:
    """The best checkpoint; for a run without a validation, one of the weights as they are now."""
    keeper = best_checkpoint(trainer)
    if keeper is None:
        return None
    keeper.ensure(trainer)
    return keeper.best_file


def _next_steps(folder: Path, best: Path | None, has_curves: bool) -> str:
    lines = [f"\nreport       {from_here(folder / 'report.html')}"]
    if has_curves:
        lines.append(f"TensorBoard  {command_line('tensorboard', '--logdir', from_here(folder.parent))}")
    if best:
        predict = ("predict", "--ckpt_path", from_here(best), *PREDICT_FILES)
        lines.append(f"label texts with\n{command_line(*PROGRAM, *predict)}")
    return "\n".join(lines)
