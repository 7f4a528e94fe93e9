"""The picture of a report in the README."""

from pathlib import Path

import matplotlib.image

from tests.reporting.picture import FILE, picture

MOST_BYTES = 150_000


def test_the_picture_of_a_run_is_small(drawn_run: Path, tmp_path: Path) -> None:
    picture(drawn_run, tmp_path / "report.png")
    for file in (tmp_path / "report.png", FILE):
        assert file.stat().st_size < MOST_BYTES
        height, width, _ = matplotlib.image.imread(file).shape
        assert width == 960
        assert 800 < height < 1200
