"""Checkpoints that load anywhere: one module for each of reading, checking, migrating and writing them."""

from emotion_lit.model.checkpoint.compatibility import check_backbone, check_identity, check_settings
from emotion_lit.model.checkpoint.hashes import weights_sha256
from emotion_lit.model.checkpoint.keys import (
    CURRENT,
    DATA_KEY,
    KEY,
    LAST,
    MODEL_KEY,
    PREVIOUS,
    TRAINER_KEY,
    Checkpoint,
)
from emotion_lit.model.checkpoint.locations import find_checkpoint, from_here, is_export, newest_checkpoint, run_folder
from emotion_lit.model.checkpoint.metadata import add_metadata, update_hyperparameters
from emotion_lit.model.checkpoint.migrations import migrate
from emotion_lit.model.checkpoint.paths import portable, relative_path
from emotion_lit.model.checkpoint.reader import check_whole, read_checkpoint, read_to_resume
from emotion_lit.model.checkpoint.stored_settings import check_folder, stored_settings
from emotion_lit.model.checkpoint.weights import complete_weights, trained_names

__all__ = [
    "CURRENT",
    "DATA_KEY",
    "KEY",
    "LAST",
    "MODEL_KEY",
    "PREVIOUS",
    "TRAINER_KEY",
    "Checkpoint",
    "add_metadata",
    "check_backbone",
    "check_folder",
    "check_identity",
    "check_settings",
    "check_whole",
    "complete_weights",
    "find_checkpoint",
    "from_here",
    "is_export",
    "migrate",
    "newest_checkpoint",
    "portable",
    "read_checkpoint",
    "read_to_resume",
    "relative_path",
    "run_folder",
    "stored_settings",
    "trained_names",
    "update_hyperparameters",
    "weights_sha256",
]
