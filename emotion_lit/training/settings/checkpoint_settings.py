"""The settings stored in a checkpoint, which are the defaults of the command that loads it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_lit.data.settings import DATASET_SPECIFIC, is_same_dataset
from emotion_lit.model import checkpoint as checkpoints
from emotion_lit.training.settings.unused_settings import typed_keys
from emotion_lit.utils.paths import expanded

if TYPE_CHECKING:
    from emotion_lit.inference.export_loader import Export

# With these a command prints something else than its results.
ASKING = ("--help", "-h", "--print_config")


@dataclass(frozen=True)
class Source:
    """The trained model that a command starts from.

    Args:
        file: The checkpoint, or the folder of an export.
        checkpoint: Its content.
        exported: The export, if it is one.
    """

    file: Path
    checkpoint: checkpoints.Checkpoint
    exported: "Export | None" = None

    @classmethod
    def read(cls, path: str, command: str) -> "Source":
        """Reads the trained model that `--ckpt_path` names.

        Args:
            path: A checkpoint, a run folder, a Hub id of one, or for `predict` an export.
            command: The command; `fit` resumes only from files.

        Raises:
            UserError: There is none, or it is damaged, or cannot be downloaded.
        """
        if command == "fit":
            return cls(*checkpoints.read_to_resume(path))
        from emotion_lit.inference.locations import find_model

        path = str(find_model(path))
        if command == "predict" and checkpoints.is_export(path):
            from emotion_lit.inference.export_loader import Export

            exported = Export.read(path)
            return cls(exported.folder, exported.as_checkpoint(), exported)
        file = checkpoints.find_checkpoint(path)
        return cls(file, checkpoints.read_checkpoint(file))


def typed_checkpoint(words: Sequence[str]) -> str | None:
    """The checkpoint that a command line names; None if it names none, or only asks for help or settings.

    Args:
        words: The words of the command line.
    """
    path = None
    for word, following in zip(words, [*words[1:], ""], strict=True):
        flag, equals, value = word.partition("=")
        if flag in ASKING:
            return None
        if flag == "--ckpt_path":
            path = value if equals else following
    return None if path in (None, "", "null") else str(expanded(path))


def parse_with_checkpoint(
    source: Source, command: str, typed: list[str], parser: Any, config: Any, parse: Callable[[], Any]
) -> Any:
    """Parses again, with the settings stored in a checkpoint as defaults.

    A null in a configuration does not override the checkpoint, because the config.yaml of a run has nulls for unset
    settings. A null on the command line does.

    Args:
        source: The checkpoint.
        command: The command.
        typed: The words of the command line.
        parser: The parser of the command.
        config: The settings without the checkpoint, of all commands; only used by `fit`.
        parse: Parses the same arguments again.

    Returns:
        The settings, of all commands.

    Raises:
        UserError: A setting is refused.
    """
    remembered = checkpoints.stored_settings(source.checkpoint, command)
    if command == "fit":
        folder = config.fit.checkpoint.dirpath
        remembered["checkpoint.dirpath"] = checkpoints.check_folder(source.checkpoint, source.file, folder)
    defaults = {key: parser.get_default(key) for key in remembered}
    parser.set_defaults(remembered)
    config = parse()
    if command in ("validate", "test") and not _is_trained_on(config[command].data, remembered):
        forgotten = {key for key in remembered if key.removeprefix("data.") in DATASET_SPECIFIC}
        remembered = {key: value for key, value in remembered.items() if key not in forgotten}
        parser.set_defaults({key: defaults[key] for key in forgotten})
        config = parse()
    keys = typed_keys(typed)
    for key, value in remembered.items():
        if defaults[key] is None and key not in keys and config[command].get(key) is None:
            config[command][key] = value
    config[command].ckpt_path = str(source.file)
    return config


def _is_trained_on(data: Any, remembered: dict[str, Any]) -> bool:
    """Whether the model was trained on this dataset; other datasets need other settings."""
    return is_same_dataset(data, {key.removeprefix("data."): value for key, value in remembered.items()})
