"""A page to read: sections of paragraphs, tables and figures, as Markdown and as HTML that needs nothing else."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure

from emotion_lit.reporting.figures import svg
from emotion_lit.utils.console_tables import markdown, markdown_table
from emotion_lit.utils.files import write_text

FIGURES = "figures"


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        rows: Cells, row by row; the first is the heading.
        texts: Whether it is of texts rather than numbers.
    """

    rows: list[list[str]]
    texts: bool = False


@dataclass(frozen=True)
class Picture:
    """A figure.

    Args:
        name: Its name among the figures.
        says: What it shows, for those who cannot see it.
    """

    name: str
    says: str


Part = str | Table | Picture


@dataclass(frozen=True)
class Section:
    """A section.

    Args:
        title: Its title.
        parts: What it says, in order.
    """

    title: str
    parts: list[Part] = field(default_factory=list)


def write_document(
    sections: Sequence[Section], figures: Mapping[str, Figure], folder: Path, name: str, front: str = ""
) -> None:
    """Writes ``<name>.md`` with its figures beside it, and ``<name>.html`` with its figures inside.

    Args:
        sections: What the page says; the first one's title is the page's.
        figures: The figures by name.
        folder: Where to.
        name: The name of both files.
        front: The line under the title.
    """
    drawn = {key: svg(figure) for key, figure in figures.items()}
    (folder / FIGURES).mkdir(parents=True, exist_ok=True)
    for key, content in drawn.items():
        write_text(folder / FIGURES / f"{key}.svg", content)
    write_text(folder / f"{name}.md", _markdown(sections, drawn))
    write_text(folder / f"{name}.html", _html(sections, drawn, front))


def _markdown(sections: Sequence[Section], figures: Mapping[str, str]) -> str:
    parts = []
    for number, section in enumerate(sections):
        parts.append(f"{'#' if number == 0 else '##'} {markdown(section.title)}")
        for part in section.parts:
            if isinstance(part, Table):
                parts.append(markdown_table(part.rows))
            elif isinstance(part, Picture):
                parts += [f"![{part.says}]({FIGURES}/{part.name}.svg)"] if part.name in figures else []
            else:
                parts.append(markdown(part))
    return "\n\n".join(parts) + "\n"


def _html(sections: Sequence[Section], figures: Mapping[str, str], front: str) -> str:
    environment = Environment(
        loader=PackageLoader("emotion_lit.reporting", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.tests["table"] = lambda part: isinstance(part, Table)
    environment.tests["picture"] = lambda part: isinstance(part, Picture)
    encoded = {name: base64.b64encode(content.encode()).decode() for name, content in figures.items()}
    return environment.get_template("page.html").render(sections=sections, figures=encoded, front=front)
