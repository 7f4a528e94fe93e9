"""The before/after report."""

import json
import platform
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from emotion_lit import __version__
from emotion_lit.callbacks.baseline import Baseline
from emotion_lit.callbacks.evaluation import class_table, evaluate, headline_table, source_table
from emotion_lit.callbacks.header import parameter_counts, split_rows
from emotion_lit.callbacks.throughput import Throughput
from emotion_lit.console import markdown_table, say, show
from emotion_lit.data.datamodule import EmotionDataModule
from emotion_lit.memory import peak_memory_mb
from emotion_lit.model.checkpoint import read_checkpoint
from emotion_lit.model.classifier import EmotionClassifier


class Report(pl.Callback):
    """Scores the best checkpoint and writes ``report.json`` and ``report.md`` beside the score of the untouched model.

    Args:
        baseline: What measured the untouched model.
        throughput: What counted the work.
    """

    def __init__(self, baseline: Baseline, throughput: Throughput) -> None:
        self.baseline = baseline
        self.throughput = throughput

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measures, writes, and prints the short table and what to type next."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(pl_module, EmotionClassifier)
        assert isinstance(data, EmotionDataModule)
        folder = Path(trainer.log_dir or ".")  # asks all processes
        if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self._report(trainer, pl_module, data, folder)
        trainer.strategy.barrier()

    def _report(self, trainer: pl.Trainer, pl_module: EmotionClassifier, data: EmotionDataModule, folder: Path) -> None:
        best = getattr(trainer.checkpoint_callback, "best_model_path", "")
        if best:
            checkpoint = read_checkpoint(best)
            pl_module.on_load_checkpoint(checkpoint)
            pl_module.load_state_dict(checkpoint["state_dict"])
        pl_module.to(trainer.strategy.root_device)  # Lightning has moved it to the CPU by now
        after = {
            split: evaluate(trainer, pl_module, data, split, f"after training, {split}")
            for split in ("validation", "test")
        }
        report = {
            "before": {**self.baseline.scores["test"], "validation": self.baseline.scores["validation"]},
            "after": {**after["test"], "validation": after["validation"]},
            "model": pl_module.settings,
            "training": self._training(trainer, pl_module, best),
            "data": data.describe(),
            "environment": environment(pl_module.device),
        }
        if isinstance(trainer.logger, TensorBoardLogger):
            _log_hyperparameters(trainer.logger, pl_module, data, report)
        write_report(report, folder)
        show("\n" + headline_table({"test before": report["before"], "test after": report["after"]}))
        say(_next_steps(folder, Path(best) if best else None))

    def _training(self, trainer: pl.Trainer, model: EmotionClassifier, best: str) -> dict[str, Any]:
        trained, total = parameter_counts(model)
        gpu = torch.cuda.max_memory_allocated() / 2**20 if model.device.type == "cuda" else None
        return {
            "wall_seconds": self.throughput.counts["wall_seconds"],
            "train_seconds": self.throughput.counts["train_seconds"],
            "encode_seconds": self.throughput.counts["encode_seconds"],
            **self.throughput.rates(trainer.world_size),
            "matrix_peak_gflops": self.throughput.estimate.peak_flops / 1e9,
            "epochs": trainer.current_epoch,
            "steps": trainer.global_step,
            "precision": str(trainer.precision),
            "peak_memory_mb": peak_memory_mb(),
            "peak_gpu_memory_mb": gpu,
            "trainable_parameters": trained,
            "total_parameters": total,
            "checkpoint_bytes": Path(best).stat().st_size if best else None,
        }


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


def write_report(report: dict[str, Any], folder: Path) -> None:
    """Writes ``report.json`` and ``report.md``.

    Args:
        report: The report.
        folder: The run folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "report.md").write_text(render_markdown(report), encoding="utf-8")


def render_markdown(report: dict[str, Any]) -> str:
    """The report as a page to read.

    Args:
        report: The report.
    """
    before, after = report["before"], report["after"]
    model, training, data = report["model"], report["training"], report["data"]
    both = {"before": before, "after": after}
    validation = {"before": before["validation"], "after": after["validation"]}
    parts = [
        f"# {model['backbone']}, {model['tuning']}: before and after",
        f"The pre-trained model with a fresh head, and the best checkpoint by validation macro-F1, on the same "
        f"{data['rows']['test']:,} test texts of `{data['dataset']}`.",
        headline_table(both, markdown=True),
        "Accuracy is the share of texts whose most probable class is right (`any label`: one of its classes); "
        "macro-F1 weighs all classes alike, however rare; loss is the cross-entropy; ECE is by how much the stated "
        "probability is off on average.",
        "## Per class (test)",
        class_table(both, markdown=True),
    ]
    if after["per_source"]:
        parts += ["## Per source (test)", source_table(both, markdown=True)]
    parts += [
        f"## Validation ({data['rows']['validation']:,} texts, which chose the checkpoint)",
        headline_table(validation, markdown=True),
        "## Training",
        markdown_table([["", "value"], *_training_rows(training)]),
        "## Data",
        _duplicates(data["duplicates_removed"]),
        markdown_table(split_rows(data)),
        "## Environment",
        markdown_table([["", "value"], *([key, str(value)] for key, value in report["environment"].items())]),
    ]
    return "\n\n".join(parts) + "\n"


def _training_rows(training: dict[str, Any]) -> list[list[str]]:
    rows = [
        ["wall time, validation included", f"{training['wall_seconds']:.1f} s"],
        ["epochs, steps", f"{training['epochs']}, {training['steps']:,}"],
        ["samples per second", f"{training['samples_per_second']:,.1f}"],
        ["tokens per second", f"{training['tokens_per_second']:,.0f}"],
        ["steps per second", f"{training['steps_per_second']:.2f}"],
        ["padding", f"{training['padding_share']:.1%}"],
        ["waiting for batches", f"{training['loading_share']:.1%} of the time"],
        *_matrix_rows(training),
        ["precision", training["precision"]],
        ["trainable parameters", f"{training['trainable_parameters']:,} of {training['total_parameters']:,}"],
        ["peak memory", f"{training['peak_memory_mb']:,.0f} MiB"],
    ]
    if training["checkpoint_bytes"]:
        rows.append(["checkpoint", f"{training['checkpoint_bytes'] / 2**20:.1f} MiB"])
    return rows


def _matrix_rows(training: dict[str, Any]) -> list[list[str]]:
    if not training["matrix_peak_gflops"]:  # with several processes it is not measured
        return []
    return [
        ["matrix products", f"{training['gflops_per_second']:,.1f} GFLOP/s"],
        ["of what large ones reach here", f"{training['peak_share']:.0%}"],
    ]


def _duplicates(removed: dict[str, int]) -> str:
    if not removed:
        return "Duplicates were not looked for (`data.deduplicate: false`)."
    return (
        f"{removed['held_out']:,} texts left the training rows because they also stand in validation or test, "
        f"{removed['repeated']:,} because they repeat another training text."
    )


def _log_hyperparameters(
    logger: TensorBoardLogger, model: EmotionClassifier, data: EmotionDataModule, report: dict[str, Any]
) -> None:
    """With the final scores, so that TensorBoard's HPARAMS tab sorts runs by them."""
    settings = {f"model/{key}": str(value) for key, value in model.settings.items()}
    settings |= {f"data/{key}": str(value) for key, value in data.settings.items()}
    settings["model/trainable_parameters"] = str(report["training"]["trainable_parameters"])
    keys = ("accuracy", "macro_f1", "loss", "ece")
    logger.log_hyperparams(settings, {f"final/test_{key}": report["after"][key] for key in keys})
    logger.save()


def _next_steps(folder: Path, best: Path | None) -> str:
    lines = [f"\nreport       {folder / 'report.md'}", f"TensorBoard  tensorboard --logdir {folder.parent}"]
    if best:
        checkpoint = best.relative_to(Path.cwd()) if best.is_relative_to(Path.cwd()) else best
        lines.append(
            f"next         python -m emotion_lit predict --ckpt_path {checkpoint} "
            "--data.predict_path texts.txt --prediction.path predictions.csv"
        )
    return "\n".join(lines)
