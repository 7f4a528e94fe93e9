"""One color for each emotion, which color-blind people can tell apart too (the palette of Okabe and Ito)."""

EMOTIONS = {
    "neutral": "#7f7f7f",
    "surprise": "#009e73",
    "fear": "#0072b2",
    "sadness": "#56b4e9",
    "joy": "#e69f00",
    "anger": "#d55e00",
    "love": "#cc79a7",
}
OTHERS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#7f7f7f")
# Line styles that go with the colors, so that lines differ in black and white too.
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1, 1, 1)))


def color(label: str, place: int) -> str:
    """The color of a class.

    Args:
        label: Its name.
        place: Its place among the classes, for a name that is not one of the seven emotions.
    """
    return EMOTIONS.get(label.casefold(), OTHERS[place % len(OTHERS)])
