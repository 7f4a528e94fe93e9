"""All that a report says about a model, computed from the evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from emotion_lit.evaluation.bootstrap import macro_f1_gain, macro_f1_interval
from emotion_lit.evaluation.calibration import describe_calibration
from emotion_lit.evaluation.contamination import NEARLY, SAME
from emotion_lit.evaluation.error_analysis import confident_mistakes, confused_pairs, confusion
from emotion_lit.evaluation.metrics import Scores, accuracy_and_macro_f1, evaluate_outputs
from emotion_lit.evaluation.prediction_table import AFTER, BEFORE, RUNGS, TFIDF, UNCALIBRATED, Evidence

HEADLINES = ("accuracy", "macro_f1", "log_loss", "ece")


def judge(evidence: Evidence, temperature: float, costs: Mapping[str, dict[str, float]]) -> dict[str, Any]:
    """The judgement of a model.

    Args:
        evidence: The test rows.
        temperature: The model's.
        costs: Per rung ``seconds`` and ``parameters``.

    Returns:
        ``after`` and, where it was measured, ``before`` (see `evaluate_outputs`), ``ladder``,
        ``gain_over_words`` (of macro-F1, over TF-IDF), ``calibration``, ``leakage``, ``confusion``,
        ``confused_pairs`` and ``mistakes``.
    """
    after = evidence.outputs(AFTER)
    matrix = confusion(after)
    scores = {
        name: evaluate_outputs(evidence.outputs(name), evidence.labels, evidence.sources)
        for name in RUNGS
        if name in evidence.probabilities
    }
    return {
        **{name: scores[name] for name in (BEFORE, AFTER) if name in scores},
        "ladder": ladder(evidence, scores, costs),
        "gain_over_words": _gain_over_words(evidence),
        "calibration": describe_calibration(after, evidence.outputs(UNCALIBRATED), temperature),
        "leakage": leakage(evidence, evidence.overlaps) if evidence.overlaps is not None else None,
        "confusion": {"labels": list(evidence.labels), "matrix": matrix.tolist()},
        "confused_pairs": confused_pairs(after, evidence.labels),
        "mistakes": confident_mistakes(after, evidence.texts, evidence.labels),
    }


def ladder(
    evidence: Evidence, scores: Mapping[str, Scores], costs: Mapping[str, dict[str, float]]
) -> list[dict[str, Any]]:
    """The model and what is simpler, each with its gain over the rung below.

    Args:
        evidence: The test rows.
        scores: The evaluation of each rung, from the lowest up.
        costs: Per rung ``seconds`` and ``parameters``.
    """
    rungs: list[dict[str, Any]] = []
    below = None
    for name, own in scores.items():
        outputs = evidence.outputs(name)
        rungs.append(
            {
                "name": name,
                **{key: own[key] for key in HEADLINES},
                "macro_f1_interval": asdict(macro_f1_interval(outputs)),
                "gain": asdict(macro_f1_gain(outputs, below)) if below is not None else None,
                **costs.get(name, {}),
            }
        )
        below = outputs
    return rungs


def _gain_over_words(evidence: Evidence) -> dict[str, float] | None:
    """What a large model is worth beyond counting words."""
    if TFIDF not in evidence.probabilities:
        return None
    return asdict(macro_f1_gain(evidence.outputs(AFTER), evidence.outputs(TFIDF)))


def leakage(evidence: Evidence, overlaps: Sequence[str]) -> dict[str, Any]:
    """How many test texts also stand in train, and the scores with and without them.

    Args:
        evidence: The test rows.
        overlaps: Whether each also stands in train.
    """
    marks = np.asarray(overlaps)
    after = evidence.outputs(AFTER)
    clean = after.take(marks == "")
    parts = {"all": after, "clean": clean}
    return {
        SAME: int((marks == SAME).sum()),
        NEARLY: int((marks == NEARLY).sum()),
        **{
            name: {"rows": len(part), **(accuracy_and_macro_f1(part) if len(part) else {})}
            for name, part in parts.items()
        },
    }
