"""Pages: sections of paragraphs, tables and figures, written as Markdown and as one self-contained HTML file."""

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

    Attributes:
        rows: The cells, row by row; the first row is the heading.
        texts: Whether the cells are texts, which are aligned left, rather than numbers.
    """

    rows: list[list[str]]
    texts: bool = False


@dataclass(frozen=True)
class Picture:
    """A place for a figure.

    Attributes:
        name: The name of the figure.
        alt: Its alternative text.
    """

    name: str
    alt: str


Part = str | Table | Picture


@dataclass(frozen=True)
class Section:
    """A section.

    Attributes:
        title: Its heading.
        parts: Its paragraphs, tables and figures, in order.
    """

    title: str
    parts: list[Part] = field(default_factory=list)


def write_page(
    sections: Sequence[Section], figures: Mapping[str, Figure], folder: Path, name: str, subtitle: str = ""
) -> None:
    """Writes ``<name>.md`` with its figures next to it, and ``<name>.html`` with its figures inside.

    Args:
        sections: The sections; the title of the first one is the page's.
        figures: The figures by name.
        folder: The folder of both files.
        name: The name of both files, without a suffix.
        subtitle: The line below the title.

    Raises:
        OSError: A file cannot be written.
    """
    drawn = {key: svg(figure) for key, figure in figures.items()}
    (folder / FIGURES).mkdir(parents=True, exist_ok=True)
    for key, content in drawn.items():
        write_text(folder / FIGURES / f"{key}.svg", content)
    write_text(folder / f"{name}.md", _markdown(sections, drawn))
    write_text(folder / f"{name}.html", _html(sections, drawn, subtitle))


def _markdown(sections: Sequence[Section], figures: Mapping[str, str]) -> str:
    parts = []
    for number, section in enumerate(sections):
        parts.append(f"{'#' if number == 0 else '##'} {markdown(section.title)}")
        for part in section.parts:
            if isinstance(part, Table):
                parts.append(markdown_table(part.rows))
            elif isinstance(part, Picture):
                parts += [f"![{part.alt}]({FIGURES}/{part.name}.svg)"] if part.name in figures else []
            else:
                parts.append(markdown(part))
    return "\n\n".join(parts) + "\n"


def _html(sections: Sequence[Section], figures: Mapping[str, str], subtitle: str) -> str:
    environment = Environment(
        loader=PackageLoader("emotion_lit.reporting", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.tests["table"] = lambda part: isinstance(part, Table)
    environment.tests["picture"] = lambda part: isinstance(part, Picture)
    encoded = {name: base64.b64encode(content.encode()).decode() for name, content in figures.items()}
    return environment.get_template("page.html").render(sections=sections, figures=encoded, subtitle=subtitle)
