"""The names in a checkpoint, and of the files in a run folder."""

from typing import Any

Checkpoint = dict[str, Any]

# Raise it when an older version would misread a checkpoint, and add to `migrations` how the earlier format is read.
FORMAT = 2
# Our own part of a checkpoint, besides Lightning's.
KEY = "emotion_lit"
MODEL_KEY = "hyper_parameters"
DATA_KEY = "datamodule_hyper_parameters"
TRAINER_KEY = "trainer_parameters"
# If the weights are averages, Lightning stores here the weights that train, and the number of averaged steps.
CURRENT, AVERAGING = "current_model_state", "averaging_state"
# The checkpoint from which a run is resumed, and the one before it, in case it is damaged.
LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
