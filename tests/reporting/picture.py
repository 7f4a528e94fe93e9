"""Makes the picture of a report in the README: `python -m tests.reporting.picture RUN [FILE]`."""

import argparse
import io
from pathlib import Path

import matplotlib
import matplotlib.image
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image

from emotion_lit.evaluation.prediction_table import PredictionTable
from emotion_lit.reporting.figures import AFTER_COLOR, STYLE
from emotion_lit.reporting.learning_curves import read_learning_curves
from emotion_lit.reporting.report_sections import report_sections, subtitle
from emotion_lit.reporting.report_tables import baseline_rows
from emotion_lit.reporting.run_report import PREDICTIONS_FILE, draw_figures, read_report

FILE = Path(__file__).parents[2] / "emotion_lit" / "reporting" / "report.png"
# Inches and dots per inch: as wide as GitHub shows a README.
WIDTH, DPI = 10.0, 96
SHOWN = (("per_class", "confusion"), ("reliability", "learning"))
ROWS = 4
# Few colors make a small file.
COLORS = 64


def picture(run: Path, file: Path) -> None:
    """Draws the title, the comparison with baselines, and four figures of a report.

    Args:
        run: A run folder.
        file: The PNG file to write.
    """
    report, table = read_report(run), PredictionTable.read(run / PREDICTIONS_FILE)
    drawn = draw_figures(report, table, read_learning_curves(run))
    images = [[_image(drawn[name]) for name in row] for row in SHOWN]
    heights = [max(image.shape[0] / image.shape[1] for image in row) * WIDTH / 2 for row in images]
    with matplotlib.rc_context(STYLE):
        whole = Figure(figsize=(WIDTH, 2.0 + sum(heights)), dpi=DPI, layout="constrained")
        grid = whole.add_gridspec(1 + len(SHOWN), 2, height_ratios=[2.0, *heights])
        top = whole.add_subplot(grid[0, :])
        top.set_axis_off()
        top.set_title(report_sections(report)[0].title, loc="left", fontsize=14, fontweight="bold", pad=22)
        top.text(0, 1.04, subtitle(report), transform=top.transAxes, color="#57606a")
        rows = baseline_rows(report["baselines"])[:ROWS]
        cells = top.table(
            rows[1:],
            colLabels=rows[0],
            bbox=Bbox.from_bounds(0, 0, 1, 0.95),
            edges="horizontal",
            colLoc="right",
            cellLoc="right",
        )
        cells.auto_set_font_size(False)
        cells.set_fontsize(10)
        for (number, column), cell in cells.get_celld().items():
            cell.set_edgecolor("#d8dee4")
            if number == 0 or column == len(rows[0]) - 1:
                cell.set_text_props(fontweight="bold", color=AFTER_COLOR if column == len(rows[0]) - 1 else "black")
        for number, row in enumerate(images, 1):
            for column, image in enumerate(row):
                axes = whole.add_subplot(grid[number, column])
                axes.imshow(image, interpolation="lanczos")
                axes.set_axis_off()
        buffer = io.BytesIO()
        whole.savefig(buffer, format="png")
    Image.open(buffer).convert("RGB").quantize(COLORS).save(file, optimize=True)


def _image(figure: Figure) -> npt.NDArray[np.float32]:
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="png", dpi=2 * DPI)
    buffer.seek(0)
    return np.asarray(matplotlib.image.imread(buffer))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="A run folder.")
    parser.add_argument("file", type=Path, nargs="?", default=FILE, help="The PNG file.")
    arguments = parser.parse_args()
    picture(arguments.run, arguments.file)
