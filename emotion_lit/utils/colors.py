"""One colour for each emotion, everywhere: after Okabe and Ito, told apart by colour-blind people too."""

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
# With the colours, so that lines are told apart in black and white.
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1, 1, 1)))


def colour(label: str, place: int) -> str:
    """The colour of a class.

    Args:
        label: Its name.
        place: Its place among the classes, for a name that is not one of the seven emotions.
    """
    return EMOTIONS.get(label.casefold(), OTHERS[place % len(OTHERS)])
