"""Builds the wheel, installs it into an empty environment, and uses it from an empty folder, without a checkout.

    python -m tests.wheel
    python -m tests.wheel --borrow

`--borrow` spares the minutes of downloading the dependencies: it takes those of the environment that runs this program.
"""

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
FEW = ["--data.train_size=140", "--data.val_size=42", "--data.test_size=42", "--trainer.max_epochs=1"]
LOAD = """
from pathlib import Path
import emotion_lit
print(emotion_lit.load("logs/quickstart/version_0")("what a day!").label)
assert (Path(emotion_lit.__file__).parent / "py.typed").is_file()
assert not Path(emotion_lit.__file__).is_relative_to(ROOT), emotion_lit.__file__
"""


def build(folder: Path) -> Path:
    """Returns the wheel, built in a folder."""
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT], check=True)
    return next(folder.glob("*.whl"))


def install(wheel: Path, folder: Path, *, borrow: bool) -> str:
    """Installs the wheel into a new environment, and returns its Python."""
    venv.create(folder)  # this environment's pip installs into it
    python = str(folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q"]
    if borrow:
        words = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        own = Path(subprocess.check_output(words, text=True).strip())
        (own / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
        subprocess.run([*pip, "--no-deps", "--ignore-installed", wheel], check=True)
    else:
        subprocess.run([*pip, "-c", ROOT / "constraints.txt", f"{wheel}[embedded]"], check=True)
    return python


def use(python: str, folder: Path) -> None:
    """Trains by the name of a recipe, labels a file, and loads the model."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    (folder / "texts.txt").write_text("what a day!\nleave me alone\n", encoding="utf-8")
    program = [python, "-m", "emotion_lit"]
    predict = ["--data.predict_path=texts.txt", "--prediction.path=predictions.csv"]
    for words in (
        [*program, "fit", "--config", "quickstart", *FEW],
        [*program, "predict", "--ckpt_path", "logs/quickstart/version_0", *predict],
        [python, "-c", f"ROOT = {str(ROOT)!r}{LOAD}"],
    ):
        subprocess.run(words, check=True, cwd=folder, env=environment)
    rows = (folder / "predictions.csv").read_text(encoding="utf-8").splitlines()
    if len(rows) != 3:
        raise SystemExit(f"predictions.csv has {len(rows)} lines, not 3")


def main() -> None:
    """Builds, installs and uses the wheel."""
    parser = argparse.ArgumentParser(prog="python -m tests.wheel")
    parser.add_argument("--borrow", action="store_true", help="Use the dependencies of this environment.")
    borrow = parser.parse_args().borrow
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python = install(build(folder), folder / "environment", borrow=borrow)
        (folder / "empty").mkdir()
        use(python, folder / "empty")


if __name__ == "__main__":
    main()
