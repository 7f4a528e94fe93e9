"""`python -m emotion_lit export`: a checkpoint as a folder for transformers, peft or ONNX Runtime."""

import json
from pathlib import Path
from typing import Any, Literal

import torch

from emotion_lit.apps.model_card import model_card
from emotion_lit.commands import COMMANDS
from emotion_lit.console import say
from emotion_lit.errors import UserError
from emotion_lit.files import atomic_path, write_text
from emotion_lit.inference.agreement import compare, sample_texts
from emotion_lit.inference.exported import is_exported, load_exported
from emotion_lit.inference.exports import base_name, write_adapter, write_hf, write_onnx_folder
from emotion_lit.inference.onnx_files import OnnxEngine
from emotion_lit.inference.predictor import Predictor, load
from emotion_lit.model import checkpoint as checkpoints
from emotion_lit.model.backbone import quiet_transformers
from emotion_lit.parser import EmotionParser

Format = Literal["hf", "adapter", "onnx"]
WRITERS = {"hf": write_hf, "adapter": write_adapter, "onnx": write_onnx_folder}
# What an export is checked on, and how far its probabilities may be off: the drift of single precision.
CHECKED_TEXTS, TOLERANCE = 256, 1e-5


def main(args: list[str]) -> None:
    """Runs the command.

    Args:
        args: What was typed after `export`.
    """
    parser = EmotionParser(prog="python -m emotion_lit export", description=COMMANDS["export"])
    parser.add_argument("--ckpt_path", type=Path, required=True, help="A checkpoint, or a run folder.")
    parser.add_argument("--output", type=Path, required=True, help="The folder to write.")
    parser.add_argument("--format", type=Format, default="hf", help="For transformers, peft or ONNX Runtime.")
    parser.add_argument("--backbone", type=str | None, default=None, help="Where the base model is, if not as before.")
    parser.add_argument("--overwrite", type=bool, default=False, help="Whether to replace an export that is there.")
    parser.add_argument("--push_to_hub", type=str | None, default=None, help="A Hub id to upload the folder to.")
    typed = parser.parse_args(args)
    export(typed.ckpt_path, typed.output, typed.format, typed.backbone, typed.overwrite)
    if typed.push_to_hub:
        _push(typed.output, typed.push_to_hub)


def export(
    ckpt_path: Path, output: Path, format: Format = "hf", backbone: str | None = None, overwrite: bool = False
) -> None:
    """Writes a checkpoint as a folder for other programs, and checks that they say the same.

    Args:
        ckpt_path: A checkpoint, or a run folder.
        output: The folder; it appears when it is complete and checked.
        format: ``hf`` for transformers, ``adapter`` for peft, ``onnx`` for ONNX Runtime.
        backbone: Where the base model of a `head` or `lora` checkpoint is, if not where it was.
        overwrite: Whether to replace an export that is there.

    Raises:
        UserError: The checkpoint cannot be exported like this, or what was written says something else.
    """
    occupied = output.exists() and (not output.is_dir() or any(output.iterdir()))
    if occupied and not overwrite:
        raise UserError(f"{output} is there already; give another --output, or --overwrite true")
    if occupied and not is_exported(output):
        raise UserError(
            f"{output} holds something else than an export, and is not overwritten; give another --output, or remove "
            "it yourself"
        )
    predictor = load(ckpt_path, backbone, device="cpu")
    data = checkpoints.read_checkpoint(ckpt_path)[checkpoints.DATA_KEY]
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(output) as folder:
            folder.mkdir()
            with quiet_transformers():
                WRITERS[format](predictor.model, folder, predictor.max_length)
            checked = _check(predictor, folder, format)
            report = _report(checkpoints.find_checkpoint(ckpt_path))
            card = model_card(predictor.model, format, base_name(predictor.model), data, report, checked)
            write_text(folder / "README.md", card)
    except OSError as error:
        raise UserError(f"{output} cannot be written: {error.strerror or error}") from error
    say(checked)
    say(f"exported     {output}")


def _check(predictor: Predictor, folder: Path, format: Format) -> str:
    """Loads what was written with the library that it is for, and compares.

    Raises:
        UserError: It says something else.
    """
    backbone = predictor.model.backbone if format == "adapter" else None
    try:
        exported = load_exported(folder, backbone)
    except UserError as error:
        name = type(predictor.model.network.encoder).__name__ if predictor.model.network else "the model"
        why = " ".join(str(error.__cause__ or error).split())[:200]
        raise UserError(f"{name} cannot be exported as {format}, which does not load again: {why}") from error
    if exported is None:
        raise UserError(f"{folder} is not there any more; export again")
    texts = sample_texts(CHECKED_TEXTS)
    ours, theirs = (one.probabilities(texts) for one in (predictor, Predictor(*exported, predictor.tokens_per_batch)))
    off = float((ours - theirs).abs().max())
    if not off <= TOLERANCE or not torch.isfinite(theirs).all():
        raise UserError(
            f"what was written does not say what the checkpoint says: on {len(texts)} texts, probabilities are off by "
            f"up to {off:.2g}; nothing was kept. Please report it, with the backbone's name"
        )
    checked = f"checked on {len(texts)} texts: probabilities differ from the checkpoint's by at most {off:.1e}"
    if format == "onnx":
        exported[0].engine = OnnxEngine(folder / "model_int8.onnx")
        theirs = Predictor(*exported, predictor.tokens_per_batch).probabilities(texts)
        checked += f". model_int8.onnx: {compare(ours, theirs, predictor.model)}"
    return checked


def _report(checkpoint: Path) -> dict[str, Any] | None:
    """The report of the run that a checkpoint stands in."""
    try:
        report: dict[str, Any] = json.loads((checkpoint.parent.parent / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return report


def _push(folder: Path, repository: str) -> None:
    from huggingface_hub import HfApi

    try:
        api = HfApi()
        api.create_repo(repository, exist_ok=True)
        address = api.upload_folder(repo_id=repository, folder_path=str(folder))
    except Exception as error:  # the client, and what it sends with, have many kinds
        reason = str(error).strip().split("\n")[0][:200]
        raise UserError(
            f"{folder} is complete, but could not be uploaded to {repository}: {reason}; "
            "log in with `hf auth login`, and upload it with `hf upload`"
        ) from error
    say(f"uploaded     {address}")
