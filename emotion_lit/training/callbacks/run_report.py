"""The report at the end of a run: before and after, and what lies in between."""

import math
import platform
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib.figure import Figure

from emotion_lit import __version__
from emotion_lit.evaluation.baselines import majority, tfidf
from emotion_lit.evaluation.calibration import fit_temperature, fit_thresholds, tempered
from emotion_lit.evaluation.contamination import overlap
from emotion_lit.evaluation.metrics import evaluate_outputs
from emotion_lit.evaluation.prediction_table import AFTER, BEFORE, MAJORITY, TFIDF, Evidence
from emotion_lit.evaluation.predictions import Floats, Outputs, truth_of
from emotion_lit.evaluation.summary import judge
from emotion_lit.model.checkpoint import DATA_KEY, MODEL_KEY, Checkpoint, from_here, portable, read_checkpoint
from emotion_lit.reporting.learning_curves import read_history
from emotion_lit.reporting.run_report import EVIDENCE, draw_figures, write_report
from emotion_lit.reporting.tables import headline_rows
from emotion_lit.reporting.tensorboard import add_curves, log_report, project
from emotion_lit.training.callbacks.before_fine_tuning import Baseline
from emotion_lit.training.callbacks.best_checkpoint import best_checkpoint
from emotion_lit.training.callbacks.context import data_of, model_of
from emotion_lit.training.callbacks.evaluation import Collected, collect, evidence_of
from emotion_lit.training.callbacks.run_summary import parameter_counts
from emotion_lit.training.callbacks.throughput import Throughput
from emotion_lit.training.callbacks.validation import ValidationFigures
from emotion_lit.training.datamodule import EmotionDataModule
from emotion_lit.training.module import EmotionClassifier
from emotion_lit.utils import nonfatal
from emotion_lit.utils.commands import PROGRAM, command_line
from emotion_lit.utils.console import say, show
from emotion_lit.utils.console_tables import table
from emotion_lit.utils.memory import peak_memory_mb, return_freed_memory

# What is left to type, with names of files that are the user's to choose.
NEXT = ("--data.predict_path", "texts.txt", "--prediction.path", "predictions.csv")


class Report(pl.Callback):
    """Judges the best checkpoint beside the untouched model and simpler ones, and writes what a person reads.

    Args:
        baseline: What measured the untouched model.
        validation: What kept the outputs of the best validation.
        throughput: What counted the work.
    """

    def __init__(self, baseline: Baseline, validation: ValidationFigures, throughput: Throughput) -> None:
        self.baseline = baseline
        self.validation = validation
        self.throughput = throughput

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measures, writes, and prints the short table and what to type next."""
        model, data = model_of(self, pl_module), data_of(self, trainer)
        folder = Path(trainer.log_dir or ".")  # asks all processes
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        with nonfatal.suppress("the report"):
            self._report(trainer, model, data, folder)
        nonfatal.summarize()

    def _report(self, trainer: pl.Trainer, model: EmotionClassifier, data: EmotionDataModule, folder: Path) -> None:
        """Scores with all processes, and then writes with the first one, for which the others need not wait."""
        start = time.perf_counter()
        best = _best(trainer)
        checkpoint = read_checkpoint(best) if best else None
        keeper = best_checkpoint(trainer)
        if checkpoint:
            model.on_load_checkpoint(checkpoint)
            model.load_state_dict(checkpoint["state_dict"])
        model.to(trainer.strategy.root_device)  # Lightning has moved it to the CPU by now
        validation = calibrate(model, self._validation(trainer, model, data, checkpoint))
        after = collect(trainer, model, data, "test", "after training, test")
        if not trainer.is_global_zero:
            return
        if best and keeper:
            with nonfatal.suppress(f"the temperature in {best}"):
                keeper.amend(trainer, {key: getattr(model.settings, key) for key in ("temperature", "threshold")})
        evidence, costs = self._evidence(after, model, data)
        with nonfatal.suppress(EVIDENCE):
            evidence.save(folder / EVIDENCE)
        judged = judge(evidence, model.settings.temperature or 1.0, costs)
        judged[AFTER]["validation"] = evaluate_outputs(validation, model.labels, data.rows("validation").sources)
        report = {
            **judged,
            "model": portable(MODEL_KEY, model.settings.as_plain()),
            "training": self._training(trainer, model, best),
            "data": {**data.describe(), "settings": portable(DATA_KEY, data.settings.saved)},
            "environment": environment(model.device),
        }
        drawn: dict[str, Figure] = {}
        with nonfatal.suppress("the report's figures"):
            drawn = draw_figures(report, evidence, read_history(folder))
        with nonfatal.suppress("TensorBoard's figures"):
            if isinstance(trainer.logger, TensorBoardLogger):
                log_report(trainer, report, drawn)
                add_curves(
                    trainer.logger.experiment, "test", evidence.outputs(AFTER), model.labels, trainer.global_step
                )
                project(trainer, model, data)
        report["training"]["evaluation_seconds"] = (
            time.perf_counter() - start + self.baseline.seconds + self.validation.seconds
        )
        show("\n" + table(headline_rows({f"test {name}": report[name] for name in (BEFORE, AFTER) if name in report})))
        write_report(report, drawn, folder)
        say(_next_steps(folder, best, isinstance(trainer.logger, TensorBoardLogger)), wrap=False)

    def _validation(
        self, trainer: pl.Trainer, model: EmotionClassifier, data: EmotionDataModule, checkpoint: Checkpoint | None
    ) -> Outputs:
        """What the best model says about the validation rows; kept since then, or else computed again."""
        kept = self.validation.best
        of_best = checkpoint is not None and checkpoint["global_step"] == self.validation.best_step
        if kept and of_best and len(kept) == len(data.rows("validation")):
            return kept
        return collect(trainer, model, data, "validation", "after training, validation").outputs(model)

    def _evidence(
        self, said_after: Collected, model: EmotionClassifier, data: EmotionDataModule
    ) -> tuple[Evidence, dict[str, dict[str, float]]]:
        test = data.rows("test")
        train = data.rows("train")
        prepared = data.prepared("train")
        truth = truth_of(prepared.targets.numpy(), prepared.first.numpy(), model.multi_label)
        rungs = {
            MAJORITY: majority(truth, len(test)),
            TFIDF: tfidf(train.texts, truth, test.texts, model.multi_label),
        }
        said: dict[str, Floats] = {name: rung.probabilities for name, rung in rungs.items()}
        before = self.baseline.probabilities(len(test))
        if before is not None:
            said[BEFORE] = before
        costs = {name: {"seconds": rung.seconds, "parameters": rung.parameters} for name, rung in rungs.items()}
        costs[BEFORE] = {"seconds": 0.0, "parameters": 0}
        costs[AFTER] = {
            "seconds": self.throughput.counts["train_seconds"] + self.throughput.counts["encode_seconds"],
            "parameters": parameter_counts(model)[0],
        }
        overlaps = overlap(train.texts, test.texts)
        return_freed_memory()
        return evidence_of(said_after, model, data, "test", said, overlaps), costs

    def _training(self, trainer: pl.Trainer, model: EmotionClassifier, best: Path | None) -> dict[str, Any]:
        trained, total = parameter_counts(model)
        gpu = torch.cuda.max_memory_allocated() / 2**20 if model.device.type == "cuda" else None
        return {
            "wall_seconds": self.throughput.counts["wall_seconds"],
            "train_seconds": self.throughput.counts["train_seconds"],
            "encode_seconds": self.throughput.counts["encode_seconds"],
            **self.throughput.rates(trainer.world_size),
            "matrix_peak_gflops": self.throughput.estimate.peak_flops / 1e9,
            # Where nothing trains, the number of batches stays infinite.
            "epochs": math.ceil(self.throughput.counts["steps"] / max(1, trainer.num_training_batches)),
            "steps": trainer.global_step,
            "precision": str(trainer.precision),
            "peak_memory_mb": peak_memory_mb(),
            "peak_gpu_memory_mb": gpu,
            "trainable_parameters": trained,
            "total_parameters": total,
            "checkpoint_bytes": best.stat().st_size if best else None,
        }


def _best(trainer: pl.Trainer) -> Path | None:
    """The best checkpoint; of a run that never came to a validation, what it has trained."""
    keeper = best_checkpoint(trainer)
    if keeper is None:
        return None
    keeper.ensure(trainer)
    return keeper.best_file


def calibrate(model: EmotionClassifier, validation: Outputs) -> Outputs:
    """Chooses the temperature and the thresholds that were left open.

    Args:
        model: The model, which takes them over.
        validation: What it said about the validation rows.

    Returns:
        What it says about them now.
    """
    if model.settings.temperature is None:
        temperature = fit_temperature(validation)
        model.change_settings(temperature=temperature)
        values = tempered(validation.measured, temperature, model.multi_label)
        validation = validation.with_probabilities(values)
    if model.multi_label and model.settings.threshold is None:
        model.change_settings(threshold=fit_thresholds(validation))
    return replace(validation, thresholds=np.array(model.decision.thresholds))


def environment(device: torch.device) -> dict[str, Any]:
    """The machine and the libraries, without anything that names the user.

    Args:
        device: Where the model is.
    """
    import datasets
    import lightning
    import peft
    import transformers

    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "platform": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "emotion_lit": __version__,
        "torch": torch.__version__,
        "lightning": lightning.__version__,
        "transformers": transformers.__version__,
        "peft": peft.__version__,
        "datasets": datasets.__version__,
    }


def _next_steps(folder: Path, best: Path | None, has_curves: bool) -> str:
    lines = [f"\nreport       {from_here(folder / 'report.html')}"]
    if has_curves:
        lines.append(f"TensorBoard  {command_line('tensorboard', '--logdir', from_here(folder.parent))}")
    if best:
        predict = ("predict", "--ckpt_path", from_here(best), *NEXT)
        lines.append(f"label texts with\n{command_line(*PROGRAM, *predict)}")
    return "\n".join(lines)
