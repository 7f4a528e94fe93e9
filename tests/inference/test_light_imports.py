"""Loading a model imports nothing of the training stack: a server or a worker would carry it."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import BACKBONE, Train
from tests.inference.conftest import KINDS

HEAVY = {"lightning", "pytorch_lightning", "lightning_fabric", "tensorboard", "matplotlib", "sklearn", "datasets"}
HEAVY |= {"torchmetrics", "peft", "jsonargparse", "pandas", "ray"}
# Each line: a model and its label, then the heavy packages that have been imported so far.
LOAD = """
import sys
from emotion_lit import BatchPredictor, load
heavy = set(sys.argv[1].split(","))
for path in sys.argv[3:]:
    label = load(path, backbone=sys.argv[2])("what a day!").label
    print(path, label, *sorted({name.partition(".")[0] for name in sys.modules} & heavy))
"""


def test_every_kind_of_model_is_loaded_without_the_training_stack(train: Train, places: dict[str, Path]) -> None:
    runs = [train(f"--model.tuning={tuning}", "--model.learning_rate=1e-3") for tuning in ("head", "full")]
    paths = [*map(str, runs), *(str(places[kind]) for kind in KINDS)]
    command = [sys.executable, "-c", LOAD, ",".join(HEAVY), str(BACKBONE), *paths]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == paths
    assert [line[2:] for line in lines] == [[]] * len(paths)
