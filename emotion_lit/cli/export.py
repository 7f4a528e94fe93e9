"""`python -m emotion_lit export`: a checkpoint as a folder for transformers, peft or ONNX Runtime."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from emotion_lit.cli.push import find_repository, push
from emotion_lit.errors import UserError
from emotion_lit.inference.export_checks import check_export, int8_agreement, print_int8_left_out
from emotion_lit.inference.export_files import INT8_FILE, Format
from emotion_lit.inference.export_loader import contains_only_export
from emotion_lit.inference.export_writers import remove_int8, write_export
from emotion_lit.inference.origins import Origin, base_of, data_of
from emotion_lit.model import checkpoint as checkpoints
from emotion_lit.model.backbone import quiet_transformers
from emotion_lit.model.factory import TrainedNetwork, restore
from emotion_lit.reporting.model_card import CardFacts, model_card
from emotion_lit.training.settings.parser import EmotionParser
from emotion_lit.utils.cleanup_process import removed_if_killed
from emotion_lit.utils.commands import COMMANDS
from emotion_lit.utils.console import say
from emotion_lit.utils.files import atomic_path, write_text


def main(args: list[str]) -> None:
    """Runs the command.

    Args:
        args: What was typed after `export`.
    """
    parser = EmotionParser(prog="python -m emotion_lit export", description=COMMANDS["export"])
    parser.add_function_arguments(export)
    export(**parser.parse_args(args).as_dict())


def export(
    ckpt_path: Path,
    output: Path,
    format: Format = "hf",
    backbone: str | None = None,
    overwrite: bool = False,
    push_to_hub: str | None = None,
    private: bool | None = None,
) -> None:
    """Writes a checkpoint as a folder for other programs, and checks that they give the same labels.

    Args:
        ckpt_path: A checkpoint, or a run folder.
        output: The folder to write the export to; it appears when it is complete and checked.
        format: `hf` for transformers, `adapter` for peft, `onnx` for ONNX Runtime.
        backbone: The path or Hub id of the base model, if it has moved since the training.
        overwrite: Whether to replace an existing export and, on the Hub, to remove files that no export wrote.
        push_to_hub: The Hub id, OWNER/NAME, to upload the folder to.
        private: Whether the repository on the Hub is private. By default, new ones are, and existing ones do not
            change.

    Raises:
        UserError: The checkpoint cannot be exported like this, what was written gives other labels, or it cannot be
            uploaded.
    """
    if private is not None and not push_to_hub:
        raise UserError("private is about a repository on the Hub; give --push_to_hub too, or leave it out")
    _check_output(output, overwrite)
    file = checkpoints.find_checkpoint(ckpt_path)
    repository = find_repository(push_to_hub, private, overwrite) if push_to_hub else None
    checkpoint = checkpoints.read_checkpoint(file)
    model = restore(checkpoint, backbone)
    facts = {
        "name": (repository.name if repository else output.resolve().name).rsplit("/", 1)[-1],
        "format": format,
        "tuning": model.settings.tuning,
        "data": data_of(checkpoint),
        "report": _report(file),
        "repository": repository.name if repository else None,
    }
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack, atomic_path(output) as folder:
            stack.enter_context(removed_if_killed(folder))  # until it has its name
            folder.mkdir()
            checked = _write(model, folder, format, base_of(checkpoint, backbone), facts)
    except OSError as error:
        raise UserError(f"{output} cannot be written: {error.strerror or error}") from error
    say(checked)
    say(f"exported     {output}")
    if repository is not None:
        push(output, repository)


def _check_output(output: Path, overwrite: bool) -> None:
    occupied = output.exists() and (not output.is_dir() or any(output.iterdir()))
    if occupied and not overwrite:
        raise UserError(f"{output} already exists; give another --output, or --overwrite true")
    if occupied and not contains_only_export(output):
        raise UserError(
            f"{output} contains files that no export wrote, and is not overwritten; give another --output, or remove "
            "it yourself"
        )


def _write(model: TrainedNetwork, folder: Path, format: Format, base: Origin, facts: dict[str, Any]) -> str:
    """Writes an export and its card.

    Returns:
        How it was checked.
    """
    with quiet_transformers():
        stated = write_export(model, folder, format, base.name)
        checked = [check_export(model, folder, format, stated)]
        int8 = format == "onnx"
        if int8:
            agreement = int8_agreement(model, folder, stated)
            int8 = agreement.is_enough
            if int8:
                checked.append(f"{INT8_FILE}: {agreement}")
            else:
                remove_int8(folder, stated)
                print_int8_left_out(agreement)
    card = model_card(CardFacts(contract=stated, base=base, checked=tuple(checked), int8=int8, **facts))
    write_text(folder / "README.md", card)
    return ". ".join(checked)


def _report(checkpoint: Path) -> dict[str, Any] | None:
    """The report of the run that a checkpoint belongs to."""
    try:
        report: dict[str, Any] = json.loads((checkpoint.parent.parent / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return report
