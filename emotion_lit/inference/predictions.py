"""The prediction of a text, and its display in Jupyter."""

import html
from dataclasses import dataclass

from emotion_lit.utils.colors import color


@dataclass(frozen=True)
class Prediction:
    """The labels of a text and their probabilities.

    Args:
        label: The most probable class; "" without a prediction, because the text is empty, or the model gives no
            finite numbers for it.
        score: Its probability; NaN without a prediction.
        probabilities: The probability of every class; NaN without a prediction.
        labels: Multi-label: the classes whose probability reaches their threshold, the most probable first. Else the
            label alone.
    """

    label: str
    score: float
    probabilities: dict[str, float]
    labels: tuple[str, ...]

    def _repr_html_(self) -> str:
        """A bar for each class, for Jupyter."""
        bars = "".join(
            f"<tr><td>{html.escape(label)}</td><td style='text-align:right'>{probability:.1%}</td>"
            f"<td style='width:20em'><div style='background:{color(label, place)};"
            f"width:{100 * probability:.1f}%;height:0.9em'></div></td></tr>"
            for place, (label, probability) in enumerate(self.probabilities.items())
        )
        return f"<table>{bars}</table>"


class Predictions(list[Prediction]):
    """The predictions of many texts, in their order."""

    def _repr_html_(self) -> str:
        """A stacked bar for each text, for Jupyter."""
        rows = "".join(
            f"<tr><td>{html.escape(', '.join(one.labels) or 'none')}</td><td>{one.score:.1%}</td>"
            f"<td style='width:20em'>{_stacked_bar(one)}</td></tr>"
            for one in self
        )
        return f"<table>{rows}</table>"


def _stacked_bar(prediction: Prediction) -> str:
    whole = sum(prediction.probabilities.values()) or 1.0
    pieces = "".join(
        f"<div title='{html.escape(label, quote=True)} {probability:.1%}' style='background:{color(label, place)};"
        f"width:{100 * probability / whole:.1f}%'></div>"
        for place, (label, probability) in enumerate(prediction.probabilities.items())
    )
    return f"<div style='display:flex;height:0.9em'>{pieces}</div>"
