"""Keys of report.json and evaluation.json that earlier versions had, and that programs may still read."""

from typing import Any

# The content of report.json.
Report = dict[str, Any]

# The present key, and the one of earlier versions with the same value.
EARLIER = {
    "baselines": "ladder",
    "gain_over_tfidf": "gain_over_words",
    "contamination": "leakage",
    "most_confident_errors": "mistakes",
}
EARLIER_OF_BINS = {"confidence": "stated", "accuracy": "true"}


def with_earlier_keys(report: Report) -> Report:
    """Adds the keys of earlier versions, for writing a report."""
    bins = [
        {**one, **{old: one[new] for new, old in EARLIER_OF_BINS.items()}}
        for one in report["calibration"]["reliability"]
    ]
    return {
        **report,
        "calibration": {**report["calibration"], "reliability": bins},
        **{old: report[new] for new, old in EARLIER.items()},
    }


def with_present_keys(report: Report) -> Report:
    """Renames the keys of earlier versions, for reading a report."""
    renamed = {new: report[old] for new, old in EARLIER.items() if old in report}
    kept = {key: value for key, value in report.items() if key not in EARLIER.values()}
    return {**renamed, **kept}
