"""The origin of a checkpoint's base model and training data: the Hub, or a local path."""

from dataclasses import dataclass
from pathlib import Path

from emotion_lit.data.downloads import is_hub_id
from emotion_lit.model.backbone import EMBEDDED
from emotion_lit.model.checkpoint import DATA_KEY, KEY, MODEL_KEY, Checkpoint, relative_path
from emotion_lit.utils import platforms

# Where the embedded encoder is on the Hub.
EMBEDDED_ON_HUB = "sentence-transformers/all-MiniLM-L6-v2"
SAMPLE = "sample"
# The dataset that this package was made for.
SUPER_EMOTION = "cirimus/super-emotion"


@dataclass(frozen=True)
class Origin:
    """Where something came from.

    Args:
        name: A Hub id, or the path of a file or folder, as it was given.
        on_hub: Whether it came from the Hub.
        config: Which configuration of a data set.
        revision: Which revision.
    """

    name: str
    on_hub: bool
    config: str | None = None
    revision: str | None = None

    @property
    def shown(self) -> str:
        """The name without its folders, which may reveal who made it."""
        return self.name if self.on_hub else Path(platforms.last_name(self.name)).name


def base_of(checkpoint: Checkpoint, backbone: str | None = None) -> Origin:
    """The origin of the base model.

    Args:
        checkpoint: The checkpoint.
        backbone: The current location of the base model, if it was given; its hash has been verified.
    """
    trained_on = str(checkpoint[KEY]["backbone"]["name"])
    was_path = _was_path(checkpoint, f"{MODEL_KEY}.backbone", trained_on)
    for name, is_path in ((trained_on, was_path), (backbone or trained_on, was_path and backbone is None)):
        if name == EMBEDDED:
            return Origin(EMBEDDED_ON_HUB, on_hub=True)
        if not is_path and is_hub_id(name) and not (name == backbone and Path(name).exists()):
            return Origin(name, on_hub=True)
    return Origin(_as_folder(relative_path(backbone or str(checkpoint[MODEL_KEY]["backbone"]))), on_hub=False)


def data_of(checkpoint: Checkpoint) -> Origin | None:
    """The origin of the training data; None if it came from custom data loaders.

    Args:
        checkpoint: The checkpoint.
    """
    settings = checkpoint[DATA_KEY]
    name = settings.get("dataset")
    if not name:
        return None
    if name == SAMPLE or not is_hub_id(name) or _was_path(checkpoint, f"{DATA_KEY}.dataset", name):
        return Origin(str(name), on_hub=False)
    return Origin(str(name), on_hub=True, config=settings.get("config"), revision=settings.get("revision"))


def _was_path(checkpoint: Checkpoint, key: str, name: str) -> bool:
    """Whether a setting was a path when the checkpoint was written; of earlier releases, whether it is one now."""
    ways = checkpoint[KEY].get("paths")
    return Path(name).exists() if ways is None else key in ways


def _as_folder(path: str) -> str:
    """The path with a prefix that distinguishes it from a Hub id."""
    return path if path.startswith(("./", "../")) or path in (".", "..") else f"./{path}"
