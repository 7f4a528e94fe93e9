"""Shipped configurations: all of them on the bundled sample, and with the ids of the Hub that stand in them."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emotion_lit.cli import main
from emotion_lit.errors import UserError
from emotion_lit.model.backbone import locate
from emotion_lit.training.settings import config_files
from emotion_lit.training.settings.config_files import find_config, recipes
from emotion_lit.training.settings.parser import configs_first
from tests.conftest import ROOT, SHARED, SMALL, failing

CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def hub_on_loopback(*served: str) -> Iterator[dict[str, str]]:
    """A Hub on the loopback, for the real client libraries; gives the environment that they need."""
    tool = SHARED / "tools" / "mini_hub.py"
    if not tool.is_file():
        pytest.skip("needs the loopback Hub next to the checkout (shared/tools/mini_hub.py)")
    port = free_port()
    server = subprocess.Popen([sys.executable, str(tool), str(port), *served], stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield {**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{port}"}
    finally:
        server.kill()
        server.wait()


def run(tmp_path: Path, environment: dict[str, str], *words: str) -> None:
    command = [sys.executable, "-m", "emotion_lit", *words]
    environment = {**environment, "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_recipe(
    tiny_backbone: Path,
    config: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--data.train_size=70", "--data.val_size=21", "--data.test_size=21", "--trainer.max_epochs=1"]
    main(["fit", f"--config={config}", *SMALL, *words, "--data.tokens_per_batch=128"])
    assert (next(tmp_path.glob("logs/*/version_0")) / "report.md").is_file()
    assert re.search(r"^macro-F1 +0\.\d{4} +0\.\d{4}$", capsys.readouterr().out, re.MULTILINE)


def test_hub_ids_take_the_same_path(super_emotion: str, tmp_path: Path) -> None:
    """The shipped recipes name the Hub; a Hub on the loopback serves their ids to the real client libraries."""
    served = [f"models:bert-base-uncased={locate('embedded')}", f"datasets:cirimus/super-emotion={super_emotion}"]
    smaller = ["--data.train_size=64", "--data.val_size=64", "--data.test_size=64", "--trainer.max_epochs=1"]
    with hub_on_loopback(*served) as environment:
        run(tmp_path, environment, "fit", "--config", str(ROOT / "configs" / "lora.yaml"), *smaller)
    assert (tmp_path / "logs" / "lora" / "version_0" / "report.json").is_file()


def test_predict_reads_a_data_set_on_the_hub(lora_run: Path, tmp_path: Path) -> None:
    (tmp_path / "served" / "data").mkdir(parents=True)
    (tmp_path / "served" / "README.md").write_text("Two texts.")
    pq.write_table(
        pa.table({"text": ["hooray", "oh no"]}), tmp_path / "served" / "data" / "train-00000-of-00001.parquet"
    )
    with hub_on_loopback(f"datasets:me/texts={tmp_path / 'served'}") as environment:
        words = ("--data.predict_path=me/texts", f"--prediction.path={tmp_path / 'out.csv'}")
        run(tmp_path, environment, "predict", f"--ckpt_path={lora_run}", *words)
    assert [line.split(",")[1] for line in (tmp_path / "out.csv").read_text().splitlines()[1:]] == ["hooray", "oh no"]


# Recipes by name


@pytest.mark.parametrize("name", ["quickstart", "replication/frozen_1_percent", "configs/lora.yaml", "full.yaml"])
def test_a_recipe_is_found_by_its_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = find_config(name)
    assert recipe.samefile(ROOT / "configs" / f"{name.removeprefix('configs/').removesuffix('.yaml')}.yaml")
    words = ["fit", f"--config={name}", "--model.tuning=head", "-c", name]
    found = ["fit", f"--config={recipe}", "-c", str(recipe), "--model.tuning=head"]
    assert configs_first(words, ["fit"]) == found
    own = tmp_path / name
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text("name: own\n")
    assert find_config(name) == Path(name)  # a file of that name wins
    assert configs_first(words, ["fit"])[1:4] == [f"--config={name}", "-c", name]


def test_recipes_are_in_the_package_or_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [file.relative_to(ROOT / "configs").with_suffix("").as_posix() for file in CONFIGS]
    assert list(recipes()) == names
    installed = shutil.copytree(ROOT / "configs", tmp_path / "configs")
    monkeypatch.setattr(config_files, "RECIPE_FOLDERS", (installed, ROOT / "configs"))
    assert recipes()["quickstart"] == installed / "quickstart.yaml"


def test_a_configuration_that_is_missing_lists_the_recipes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = failing(capsys, "fit", "--config=nowhere.yaml")
    assert "nowhere.yaml; give a file, or one of the recipes: cluster, full, head, lora, quickstart" in line
    with pytest.raises(UserError, match=r"there is no configuration nowhere\.yaml; give a file, or one of the recipes"):
        find_config("nowhere.yaml")
    with pytest.raises(UserError, match="is a folder"):
        find_config(tmp_path)
