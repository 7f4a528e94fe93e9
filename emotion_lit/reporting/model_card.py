"""The model card of an export: what it is, how good, made from what, and how to use it."""

import math
from dataclasses import dataclass
from typing import Any

from emotion_lit import __version__
from emotion_lit.inference.export_contract import Contract
from emotion_lit.inference.export_files import Format
from emotion_lit.inference.origins import SAMPLE, SUPER_EMOTION, Origin
from emotion_lit.reporting.model_card_code import base_place, snippet
from emotion_lit.reporting.tables import headline_rows
from emotion_lit.utils.console_tables import markdown, markdown_table
from emotion_lit.utils.names import dataset_name, listed

Report = dict[str, Any]

LIBRARIES = {"hf": "transformers", "adapter": "peft", "onnx": "onnx"}
# The scores that the Hub shows: theirs and our key, the name, and how classes are averaged.
METRICS = (
    ("accuracy", "accuracy", "Accuracy", None),
    ("f1", "macro_f1", "Macro-F1", "macro"),
    ("f1", "micro_f1", "Micro-F1", "micro"),
)
INT8 = """`model.onnx` is in single precision; `model_int8.onnx` has 8-bit weights and is faster, and less exact; on
CPUs without VNNI (Intel before Ice Lake, AMD before Zen 4) sums saturate and it is less exact still, so compare the two
there first."""


@dataclass(frozen=True)
class Facts:
    """What is known of an export.

    Args:
        name: What it is called.
        format: Its format.
        stated: What it states of itself.
        tuning: What was trained.
        base: The base model.
        data: The training data; None where they are not known.
        report: The report of the training, if it is at hand.
        checked: How the export was checked, in sentences.
        int8: Whether there is a file of 8-bit weights.
        repository: Where it will be on the Hub, if there.
    """

    name: str
    format: Format
    stated: Contract
    tuning: str
    base: Origin
    data: Origin | None
    report: Report | None = None
    checked: tuple[str, ...] = ()
    int8: bool = False
    repository: str | None = None

    @property
    def is_about_emotions(self) -> bool:
        """Whether the data are those that this package was made for; of other data nothing is known."""
        return self.data is not None and self.data.name in (SAMPLE, SUPER_EMOTION)


def model_card(facts: Facts) -> str:
    """The text of a model card, with the header that the Hub reads.

    Args:
        facts: What is known.
    """
    from huggingface_hub import ModelCard

    stated, base = facts.stated, facts.base
    names = listed(stated.labels)
    several = "any number of classes a text" if stated.multi_label else "one class a text"
    subject = "emotions in texts" if facts.is_about_emotions else "texts"
    parts = [
        f"---\n{_header(facts).to_yaml()}\n---",
        f"# {markdown(facts.name)}",
        markdown(f"{base.shown}, fine-tuned ({facts.tuning}) to classify {subject}; {several}: {names}."),
        "## Use",
        *_use(facts),
        "## Scores",
        _scores(facts.report),
        "## Training data",
        markdown(_training_data(facts.data, facts.report)),
        "## Limits",
        _limits(facts),
        "## Export",
        f"Made by emotion_lit {__version__}; {'. '.join(facts.checked)}.",
    ]
    return str(ModelCard("\n\n".join(parts) + "\n"))


def _header(facts: Facts) -> Any:
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


def _results(facts: Facts) -> list[Any]:
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


def _use(facts: Facts) -> list[str]:
    stated, base = facts.stated, facts.base
    where = "" if facts.repository else "Run this in the folder of this file"
    parts = [INT8] if facts.int8 else []
    if facts.format == "adapter" and not base.on_hub:
        place = base_place(base, facts.repository)
        parts.append(
            markdown(
                f"The base model is the folder {base.shown} of who trained this (sha256 of its weights "
                f"{(stated.network_sha256 or '')[:12]}), and is not known to be on the Hub. Without it the adapter is "
                f"of no use, and with another model it gives other labels: put the folder at {place}, or export with "
                "--format hf, which holds all weights."
            )
        )
    parts += [f"{where}:"] if where else []
    parts.append(f"```python\n{snippet(facts.format, stated, base, facts.repository)}\n```")
    if stated.multi_label:
        parts.append(
            "A class is predicted where its probability is at least its threshold; they stand in `labels.json`, in the "
            "order of the labels."
        )
    parts.append(
        "The calibration temperature is already in the weights. A text of nothing but blanks has no meaningful label."
    )
    return parts


def _scores(report: Report | None) -> str:
    if report is None:
        return "Not at hand: the report of the training was not beside the checkpoint."
    rows = headline_rows({name: report[name] for name in ("before", "after") if name in report})
    count = report["data"]["rows"].get("test")
    return f"On the same {count:,} test texts, before and after fine-tuning:\n\n{markdown_table(rows)}"


def _training_data(data: Origin | None, report: Report | None) -> str:
    if data is None:
        return "Not known."
    name = dataset_name({"dataset": data.shown, "config": data.config, "revision": data.revision})
    if report is None:
        return f"{name}."
    rows = report["data"]["rows"]
    return f"{name}: {rows.get('train', 0):,} texts for training, {rows.get('validation', 0):,} for validation."


def _limits(facts: Facts) -> str:
    parts = [f"Texts are cut after {facts.stated.max_length} tokens."]
    if facts.is_about_emotions:
        parts.append(
            "Labels are what annotators, or the authors' hashtags, said of short English texts; what somebody feels is "
            "another matter. Not meant for judging persons, nor for decisions about them."
        )
    parts.append("Scores are on texts like those of the training, and may be lower on others.")
    return " ".join(parts)
