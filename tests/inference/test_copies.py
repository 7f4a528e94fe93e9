"""Loaded models in other hands: copied, pickled, sent to spawned processes, and used in forked ones."""

import copy
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from emotion_lit.errors import UserError
from emotion_lit.inference.engines import TorchEngine
from emotion_lit.inference.predictor import Predictor
from tests.inference.conftest import KINDS, loaded

TEXTS = ["what a day!", "", "she said yes " * 20, "leave me alone"]
# Long enough for PyTorch to share the work among its threads.
FORKED = """
import multiprocessing, os, signal, sys
import torch
torch.set_num_threads(2)
from emotion_lit import load

texts = ["what a day! " * length for length in range(1, 60)]
for path in sys.argv[1:]:
    model = load(path)
    expected = model.probabilities(texts)

    def work():
        torch.testing.assert_close(model.probabilities(texts), expected, atol=1e-5, rtol=0)
        assert torch.get_num_threads() == 1

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(300)
    print(path, "hangs" if child.is_alive() else child.exitcode, flush=True)
    child.kill()
    child.join()
    if not (worker := os.fork()):
        signal.alarm(300)  # ends it where it hangs
        work()
        sys.exit(3)  # as a worker of a server, which ends like any program
    print(path, os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]), flush=True)
    assert torch.get_num_threads() == 2
    assert torch.equal(model.probabilities(texts), expected)
    assert "TOKENIZERS_PARALLELISM" not in os.environ
"""


def pickled(model: Any) -> Any:
    return pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_predicts_the_same(places: dict[str, Path], kind: str, copied: Callable[[Any], Any]) -> None:
    model = loaded(places[kind], kind)
    expected = model(TEXTS)
    for other in (copied(model), copied(copied(model))):
        assert repr(other(TEXTS)) == repr(expected)
        assert other.labels == model.labels
    assert repr(model(TEXTS)) == repr(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_needs_no_file(places: dict[str, Path], kind: str, tmp_path: Path) -> None:
    carried = Path(shutil.copytree(places[kind], tmp_path / kind))
    model = loaded(carried, kind)
    shutil.rmtree(carried)
    assert repr(pickled(copy.deepcopy(model))(TEXTS)) == repr(loaded(places[kind], kind)(TEXTS))


def test_spawned_processes_predict_the_same(places: dict[str, Path]) -> None:
    models = [loaded(places[kind], kind) for kind in KINDS]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(Predictor.__call__, models, [TEXTS] * len(models)))
    assert repr(found) == repr([model(TEXTS) for model in models])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system that forks")
def test_forked_processes_predict_the_same(places: dict[str, Path]) -> None:
    paths = [str(places[kind]) for kind in ("checkpoint", "hf", "onnx")]
    environment = {name: value for name, value in os.environ.items() if name != "TOKENIZERS_PARALLELISM"}
    command = [sys.executable, "-c", FORKED, *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == [f"{path} {code}" for path in paths for code in (0, 3)]
    assert "forked" not in done.stderr  # the warning of `tokenizers`


def test_a_model_on_the_gpu_says_that_a_forked_process_cannot_use_it(
    places: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded(places["checkpoint"], "checkpoint")
    monkeypatch.setattr(TorchEngine, "device", torch.device("cuda"))
    with pytest.raises(UserError, match="a forked process cannot use; load it in the worker"):
        model("what a day!")
