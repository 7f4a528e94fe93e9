"""What the program says to a person: progress and notes on stderr, results on stdout."""

import sys

from tqdm import tqdm


def say(text: str) -> None:
    """Writes a line to stderr without breaking a progress bar.

    Args:
        text: The line.
    """
    with tqdm.external_write_mode(file=sys.stderr):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def show(text: str) -> None:
    """Writes a result to stdout.

    Args:
        text: The lines.
    """
    with tqdm.external_write_mode(file=sys.stdout):
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def table(rows: list[list[str]]) -> str:
    """Lays rows out in columns, the first aligned left and the others right; the first row is the heading.

    Args:
        rows: Cells, row by row, all rows of one length.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
        if number == 0:
            lines.append("  ".join("-" * width for width in widths))
    return "\n".join(lines)


def markdown_table(rows: list[list[str]]) -> str:
    """The same rows as a Markdown table.

    Args:
        rows: Cells, row by row, all rows of one length.
    """
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = ["| " + " | ".join(row) + " |" for row in escaped]
    rule = "|" + "|".join(["---"] + ["---:"] * (len(rows[0]) - 1)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
