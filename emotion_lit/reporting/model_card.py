"""The model card of an export: its use, scores, training data and limitations."""

import math
from dataclasses import dataclass
from typing import Any

from emotion_lit import __version__
from emotion_lit.inference.export_contract import Contract
from emotion_lit.inference.export_files import Format
from emotion_lit.inference.origins import SAMPLE, SUPER_EMOTION, Origin
from emotion_lit.reporting.model_card_code import base_place, snippet
from emotion_lit.reporting.report_keys import Report
from emotion_lit.reporting.score_tables import headline_rows
from emotion_lit.utils.console_tables import markdown, markdown_table
from emotion_lit.utils.names import dataset_name, listed

LIBRARIES = {"hf": "transformers", "adapter": "peft", "onnx": "onnx"}
# The scores that the Hub shows: its name of the metric, our key, the title, and the average over the classes.
METRICS = (
    ("accuracy", "accuracy", "Accuracy", None),
    ("f1", "macro_f1", "Macro-F1", "macro"),
    ("f1", "micro_f1", "Micro-F1", "micro"),
)
INT8 = """`model.onnx` is in single precision; `model_int8.onnx` has 8-bit weights, and is faster but less exact.
On CPUs without VNNI (Intel before Ice Lake, AMD before Zen 4) it is even less exact, because sums saturate; compare the
two there first."""


@dataclass(frozen=True)
class CardFacts:
    """What a model card states about an export.

    Attributes:
        name: The name of the model.
        format: The format of the export.
        contract: Its labels, thresholds and maximum length.
        tuning: Which weights were trained: ``head``, ``lora`` or ``full``.
        base: The base model.
        data: The training data; None if they are not known.
        report: The report of the run, if there is one.
        checked: How the export was checked, in sentences.
        int8: Whether there is a file with 8-bit weights.
        repository: Its repository on the Hub, if it has one.
    """

    name: str
    format: Format
    contract: Contract
    tuning: str
    base: Origin
    data: Origin | None
    report: Report | None = None
    checked: tuple[str, ...] = ()
    int8: bool = False
    repository: str | None = None

    @property
    def is_about_emotions(self) -> bool:
        """Whether the data are the sample or super-emotion; the topic of other data is not known."""
        return self.data is not None and self.data.name in (SAMPLE, SUPER_EMOTION)


def model_card(facts: CardFacts) -> str:
    """The text of a model card, with the header that the Hub reads."""
    from huggingface_hub import ModelCard

    contract, base = facts.contract, facts.base
    names = listed(contract.labels)
    task = "multi-label" if contract.multi_label else "single-label"
    subject = "emotions in texts" if facts.is_about_emotions else "texts"
    parts = [
        f"---\n{_header(facts).to_yaml()}\n---",
        f"# {markdown(facts.name)}",
        markdown(f"{base.shown}, fine-tuned ({facts.tuning}) for {task} classification of {subject}: {names}."),
        "## Use",
        *_use(facts),
        "## Scores",
        _scores(facts.report),
        "## Training data",
        markdown(_training_data(facts.data, facts.report)),
        "## Limitations",
        _limitations(facts),
        "## Export",
        f"Made by emotion_lit {__version__}; {'. '.join(facts.checked)}.",
    ]
    return str(ModelCard("\n\n".join(parts) + "\n"))


def _header(facts: CardFacts) -> Any:
    from huggingface_hub import ModelCardData

    data = facts.data
    return ModelCardData(
        model_name=facts.name,
        library_name=LIBRARIES[facts.format],
        pipeline_tag="text-classification",
        base_model=facts.base.name if facts.base.on_hub else None,
        datasets=[data.name] if data is not None and data.on_hub else None,
        tags=["emotion_lit", *(["emotion"] if facts.is_about_emotions else [])],
        metrics=["accuracy", "f1"],
        eval_results=_results(facts) or None,
    )


def _results(facts: CardFacts) -> list[Any]:
    """The scores on the test rows, as the Hub shows them."""
    from huggingface_hub import EvalResult

    scores = (facts.report or {}).get("after") or {}
    data = facts.data or Origin("unknown", on_hub=False)
    return [
        EvalResult(
            task_type="text-classification",
            dataset_type=data.name if data.on_hub else "unknown",
            dataset_name=data.shown,
            dataset_config=data.config,
            dataset_revision=data.revision,
            dataset_split="test",
            metric_type=kind,
            metric_name=name,
            metric_value=round(scores[key], 4),
            metric_args={"average": average} if average else None,
        )
        for kind, key, name, average in METRICS
        if isinstance(scores.get(key), int | float) and math.isfinite(scores[key])
    ]


def _use(facts: CardFacts) -> list[str]:
    contract, base = facts.contract, facts.base
    where = "" if facts.repository else "Run this in the folder of this file"
    parts = [INT8] if facts.int8 else []
    if facts.format == "adapter" and not base.on_hub:
        place = base_place(base, facts.repository)
        parts.append(
            markdown(
                f"The base model is a local folder, {base.shown} (sha256 of its weights: "
                f"{(contract.network_sha256 or '')[:12]}), and is not known to be on the Hub. The adapter needs "
                f"exactly this base model: put the folder at {place}, or export with --format hf, which has "
                "all weights."
            )
        )
    parts += [f"{where}:"] if where else []
    parts.append(f"```python\n{snippet(facts.format, contract, base, facts.repository)}\n```")
    if contract.multi_label:
        parts.append(
            "A class is predicted if its probability is at least its decision threshold; `labels.json` has the "
            "thresholds, in the order of the labels."
        )
    parts.append(
        "The weights already include the calibration temperature. The label of an empty or blank text is meaningless."
    )
    return parts


def _scores(report: Report | None) -> str:
    if report is None:
        return "Not available: there was no report next to the checkpoint."
    rows = headline_rows({name: report[name] for name in ("before", "after") if name in report})
    count = report["data"]["rows"].get("test")
    return f"On {count:,} test texts, before and after fine-tuning:\n\n{markdown_table(rows)}"


def _training_data(data: Origin | None, report: Report | None) -> str:
    if data is None:
        return "Unknown."
    name = dataset_name({"dataset": data.shown, "config": data.config, "revision": data.revision})
    if report is None:
        return f"{name}."
    rows = report["data"]["rows"]
    return f"{name}: {rows.get('train', 0):,} texts for training, {rows.get('validation', 0):,} for validation."


def _limitations(facts: CardFacts) -> str:
    parts = [f"Texts are truncated to {facts.contract.max_length} tokens."]
    if facts.is_about_emotions:
        parts.append(
            "The labels of the training data come from annotators or from the authors' hashtags, and need not be what "
            "the authors felt. Not intended for judging people or for decisions about them."
        )
    parts.append("The scores are on texts like the training texts, and may be lower on others.")
    return " ".join(parts)
