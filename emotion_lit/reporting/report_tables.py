"""The tables of a run's report, as cells; the first row is the heading."""

from collections.abc import Sequence
from typing import Any

from emotion_lit.evaluation.bootstrap import Gain
from emotion_lit.evaluation.prediction_table import AFTER, BEFORE, MAJORITY, TFIDF
from emotion_lit.utils.names import shown

MODEL_NAMES = {
    MAJORITY: "majority class",
    TFIDF: "TF-IDF",
    BEFORE: "before fine-tuning",
    AFTER: "after fine-tuning",
}
LONGEST_TEXT = 160


def baseline_rows(models: Sequence[dict[str, Any]]) -> list[list[str]]:
    """The scores and costs of the baselines and the fine-tuned model, a column each."""
    gains = [Gain(**model["gain"]) if model["gain"] else None for model in models]
    own = [model["macro_f1_interval"] for model in models]
    return [
        ["", *(MODEL_NAMES[model["name"]] for model in models)],
        ["accuracy", *(f"{model['accuracy']:.4f}" for model in models)],
        ["macro-F1", *(f"{model['macro_f1']:.4f}" for model in models)],
        ["macro-F1, 95% interval", *(f"{one['low']:.3f} to {one['high']:.3f}" for one in own)],
        ["gain over the previous column", *(f"{gain.value:+.4f}" if gain else "" for gain in gains)],
        ["gain, 95% interval", *(f"{gain.low:+.3f} to {gain.high:+.3f}" if gain else "" for gain in gains)],
        ["log loss", *(f"{model['log_loss']:.4f}" for model in models)],
        ["ECE", *(f"{model['ece']:.4f}" for model in models)],
        ["training time in seconds", *(f"{model['seconds']:,.1f}" if "seconds" in model else "" for model in models)],
        [
            "trained parameters",
            *(_short_number(model["parameters"]) if "parameters" in model else "" for model in models),
        ],
    ]


def confused_rows(pairs: Sequence[dict[str, Any]]) -> list[list[str]]:
    """The most confused pairs of classes."""
    rows = [["true class", "predicted as", "texts", "share of the true class"]]
    rows += [
        [shown(pair["truth"]), shown(pair["prediction"]), f"{pair['count']:,}", f"{pair['share']:.1%}"]
        for pair in pairs
    ]
    return rows


def error_rows(errors: Sequence[dict[str, Any]]) -> list[list[str]]:
    """The most confident errors, with their texts shortened."""
    rows = [["text", "true class", "predicted as", "confidence"]]
    for error in errors:
        names = [shown(error["truth"]), shown(error["prediction"])]
        rows.append([_shortened(error["text"]), *names, f"{error['confidence']:.3f}"])
    return rows


def training_rows(training: dict[str, Any]) -> list[list[str]]:
    """The cost of the training, without a heading.

    Args:
        training: That part of the report.
    """
    rows = [
        ["wall time, including validation", f"{training['wall_seconds']:.1f} s"],
        ["evaluation before and after training", f"{training['evaluation_seconds']:.1f} s"],
        ["epochs", str(training["epochs"])],
        ["steps", f"{training['steps']:,}"],
        ["samples per second", f"{training['samples_per_second']:,.1f}"],
        ["tokens per second", f"{training['tokens_per_second']:,.0f}"],
        ["steps per second", f"{training['steps_per_second']:.2f}"],
        ["padding", f"{training['padding_share']:.1%} of the tokens"],
        ["waiting for batches", f"{training['loading_share']:.1%} of the training time"],
        ["precision", training["precision"]],
        ["trainable parameters", f"{training['trainable_parameters']:,} of {training['total_parameters']:,}"],
        ["peak memory", f"{training['peak_memory_mb']:,.0f} MiB"],
    ]
    rows += _gpu_rows(training)
    if training["matrix_peak_gflops"]:  # not measured with several processes
        rows.append(["matrix multiplication", f"{training['gflops_per_second']:,.1f} GFLOP/s"])
        rows.append(["share of the peak measured on this machine", f"{training['peak_share']:.0%}"])
    if training["checkpoint_bytes"]:
        rows.append(["checkpoint size", f"{training['checkpoint_bytes'] / 2**20:.1f} MiB"])
    return rows


def _gpu_rows(training: dict[str, Any]) -> list[list[str]]:
    """What concerns training on a GPU; reports of earlier versions lack some of it."""
    rows = []
    if training.get("peak_gpu_memory_mb") is not None:
        rows.append(["peak GPU memory", f"{training['peak_gpu_memory_mb']:,.0f} MiB"])
    if training.get("tf32") is not None:
        rows.append(["single-precision matrix products", "TF32" if training["tf32"] else "float32, without TF32"])
    if graphs := training.get("cuda_graphs"):
        passes = graphs["replayed"] + graphs["eager"]
        rows.append(
            [
                "CUDA graphs",
                f"{graphs['replayed']:,} of {passes:,} training passes; {graphs['shapes']} shapes, recorded in "
                f"{graphs['seconds']:.1f} s",
            ]
        )
    return rows


def _short_number(count: float) -> str:
    return f"{count / 1e6:,.1f} M" if count >= 1e6 else f"{count:,.0f}"


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 1] + "…"
