"""Fine-tune BERT, with or without LoRA, to recognise emotions in text, and label text in bulk."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emotion_lit.inference.predictor import load
    from emotion_lit.training.datamodule import EmotionDataModule
    from emotion_lit.training.module import EmotionClassifier

__version__ = "0.1.0"
__all__ = ["EmotionClassifier", "EmotionDataModule", "__version__", "load"]

_HOMES = {
    "EmotionClassifier": "emotion_lit.training.module",
    "EmotionDataModule": "emotion_lit.training.datamodule",
    "load": "emotion_lit.inference.predictor",
}


def __getattr__(name: str) -> Any:
    """Imports on first use: the libraries underneath take seconds."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
