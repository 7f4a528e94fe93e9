"""The program in the environments that people have: it works, or a line says why not; a traceback is never shown.

Minutes; run with ``-m slow``.
"""

import os
import resource
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from emotion_lit.model.backbone import locate
from tests.conftest import ROOT, SMALL

pytestmark = pytest.mark.slow
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
FIT = ["fit", *SMALL, "--model.tuning=head", "--trainer.max_epochs=1", "--name=own"]
NOBODY = 65534
SLURM = {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "job", "SLURM_NODELIST": "node1", "SLURM_NNODES": "1"}


@dataclass
class Place:
    """An environment.

    Args:
        name: What it is called.
        env: Variables; an empty one is removed.
        redirect: What a shell adds to the command.
        limit: Limits of the process, set before it starts.
        prepare: What is done to the folder of the test before.
        words: The command; by default `fit` on a few rows. FOLDER stands for the folder of the test.
        python: Options of the interpreter.
        code: The exit code.
        says: What stands on the screen.
        root: Whether it takes a superuser to make it.
    """

    name: str
    env: dict[str, str] = field(default_factory=dict)
    redirect: str = ""
    limit: Callable[[], object] | None = None
    prepare: Callable[[Path], object] | None = None
    words: list[str] = field(default_factory=lambda: list(FIT))
    python: list[str] = field(default_factory=list)
    code: int = 0
    says: str = ""
    root: bool = False


def file_at(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text("a file where a folder should be")


def unreadable(name: str) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        (folder / name).mkdir()
        (folder / name).chmod(0)

    return make


def limits(kind: int, value: int) -> Callable[[], object]:
    return lambda: resource.setrlimit(kind, (value, value))


def as_nobody() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(12345)  # no entry in the list of users


def everybody_can_reach(folder: Path) -> bool:
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in (folder, *folder.parents))


PREDICT = ["predict", "--data.predict_path=FOLDER/texts.txt"]
PLACES = [
    Place("plain"),
    Place("no home", {"HOME": ""}),
    Place("a home that is not there", {"HOME": "/nonexistent"}),
    Place("a user without a passwd entry", {"HOME": ""}, limit=as_nobody, root=True),
    Place("a user without a passwd entry, predict", {"HOME": ""}, limit=as_nobody, words=PREDICT, root=True),
    Place("cache is a file", {"EMOTION_LIT_CACHE": "FOLDER/cache"}, prepare=file_at("cache"), says="cannot be written"),
    Place("cache is a file, predict", {"EMOTION_LIT_CACHE": "FOLDER/cache"}, prepare=file_at("cache"), words=PREDICT),
    Place("cache cannot be entered", {"EMOTION_LIT_CACHE": "FOLDER/cache"}, prepare=unreadable("cache")),
    Place("XDG cache is a file", {"EMOTION_LIT_CACHE": "", "XDG_CACHE_HOME": "FOLDER/x"}, prepare=file_at("x")),
    Place("HF_HOME is a file", {"HF_HOME": "FOLDER/hf"}, prepare=file_at("hf")),
    Place("HF_HOME below a file", {"HF_HOME": "FOLDER/hf/below"}, prepare=file_at("hf")),
    Place("matplotlib's folder is a file", {"MPLCONFIGDIR": "FOLDER/mpl"}, prepare=file_at("mpl")),
    Place("temporary folder is not there", {"TMPDIR": "/nonexistent"}),
    Place("C locale", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    Place(
        "C locale, a name beyond it",
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        words=[*FIT[:-1], "--name=Gefühle"],
    ),
    Place("POSIX locale", {"LC_ALL": "POSIX"}),
    Place("cp1252 streams", {"PYTHONIOENCODING": "cp1252"}),
    Place("cp1252 streams, predict", {"PYTHONIOENCODING": "cp1252"}, words=PREDICT),
    Place("ascii streams, predict", {"PYTHONIOENCODING": "ascii"}, words=PREDICT),
    Place("stdout closed", redirect=">&-"),
    Place("stderr closed", redirect="2>&-"),
    Place("stdin closed", redirect="<&-"),
    Place("all streams closed", redirect="<&- >&- 2>&-"),
    Place("stdout full", redirect=">/dev/full"),
    Place("stderr full", redirect="2>/dev/full"),
    Place("predict to a closed stdout", redirect=">&-", words=PREDICT, code=2, says="standard output is closed"),
    Place("predict to a full stdout", redirect=">/dev/full", words=PREDICT, code=2, says="No space left"),
    Place("predict from a closed stdin", redirect="<&-", words=["predict", "--data.predict_path=-"], code=2),
    Place("SLURM without srun, 1 task", {**SLURM, "SLURM_NTASKS": "1"}),
    Place("SLURM without srun, 4 tasks", {**SLURM, "SLURM_NTASKS": "4"}, says="SLURM_NTASKS=4"),
    Place("SLURM without srun, predict", {**SLURM, "SLURM_NTASKS": "4"}, words=PREDICT),
    Place("left over of torchrun", {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}, says="note: "),
    Place("files of 1 MB at most", limit=limits(resource.RLIMIT_FSIZE, 1_000_000), code=2, says="ulimit -f"),
    Place("64 open files", limit=limits(resource.RLIMIT_NOFILE, 64)),
    Place("no core files", limit=limits(resource.RLIMIT_CORE, 0)),
    Place("python -O", python=["-O"]),
    Place("python -OO", python=["-OO"], code=2, says="-OO"),
    Place("python -W default", python=["-W", "default"]),
    Place("an unknown terminal", {"TERM": "nonsense"}),
    Place("one thread", {"OMP_NUM_THREADS": "1"}),
    Place("logs is a file", prepare=file_at("logs"), code=2, says="cannot be written"),
    Place(
        "logs cannot be made", words=[*FIT, "--trainer.default_root_dir=/proc/nowhere"], code=2, says="/proc/nowhere"
    ),
    Place(
        "predictions into a folder that takes none",
        words=[*PREDICT, "--prediction.path=/proc/x.csv"],
        code=2,
        says="/proc/x.csv cannot be written",
    ),
    Place("no GPU", words=[*FIT, "--trainer.accelerator=gpu"], code=2, says="trainer.accelerator"),
    Place("backbone is not there", words=[*FIT, "--model.backbone=./moved"], code=2, says="./moved"),
    Place("oneDNN held to AVX2", {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}, says="32-true"),
    Place("offline", {"HF_HUB_OFFLINE": "1"}),
    Place("hash seed", {"PYTHONHASHSEED": "1"}),
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that needs no base model, readable for every user."""
    folder = tmp_path_factory.mktemp("checkpoint")
    words = [*FIT, "--model.tuning=full", f"--trainer.default_root_dir={folder}"]
    subprocess.run([sys.executable, "-m", "emotion_lit", *words], cwd=ROOT, check=True, capture_output=True)
    return folder / "own" / "version_0" / "checkpoints" / "best.ckpt"


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_it_works_or_says_why_not(place: Place, checkpoint: Path, tmp_path: Path) -> None:
    if place.root and not IS_ROOT:
        pytest.skip("needs a superuser, who can become another user")
    if place.root and not everybody_can_reach(Path(sys.base_prefix)):
        pytest.skip(f"needs a Python that every user can run; this one is in {sys.base_prefix}")
    if "/dev/full" in place.redirect and not Path("/dev/full").exists():
        pytest.skip("needs Linux's /dev/full")
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "texts.txt").write_text("so glücklich 😀\n怖い\n", encoding="utf-8")
    shutil.copy(checkpoint, folder / "best.ckpt")
    if place.prepare:
        place.prepare(folder)
    for parent in (folder, *folder.parents):
        if parent != Path("/") and IS_ROOT:
            parent.chmod(parent.stat().st_mode | stat.S_IRWXO)
    words = [sys.executable, *place.python, "-m", "emotion_lit", *place.words]
    words += ["--ckpt_path=best.ckpt"] if place.words[0] != "fit" else []
    command = " ".join(f"'{word.replace('FOLDER', str(folder))}'" for word in words) + f" {place.redirect}"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "EMOTION_LIT_CACHE": str(tmp_path / "cache")}
    env |= {name: value.replace("FOLDER", str(folder)) for name, value in place.env.items()}
    env = {name: value for name, value in env.items() if value}
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        timeout=300,
        preexec_fn=place.limit,
    )
    shown = done.stdout + done.stderr
    assert done.returncode == place.code, shown[-2000:]
    assert "Traceback" not in shown
    assert place.says in shown
    if place.code:
        assert sum(line.startswith("error: ") for line in shown.splitlines()) == 1
    elif place.words[0] == "fit":
        assert list(folder.glob("logs/*/version_0/report.json"))
        assert list(folder.glob("logs/*/version_0/run.log"))


def test_the_encoder_is_where_every_user_can_read_it() -> None:
    assert Path(locate("embedded")).is_dir()
