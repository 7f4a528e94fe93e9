"""Fine-tune BERT, with or without LoRA, to recognize emotions in text, and label text in bulk."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emotion_lit.cluster.batch_predictor import BatchPredictor
    from emotion_lit.inference.loading import load
    from emotion_lit.training.datamodule import EmotionDataModule
    from emotion_lit.training.module import EmotionClassifier
    from emotion_lit.training.run import RunResult, fit

__version__ = "0.1.0"
__all__ = ["BatchPredictor", "EmotionClassifier", "EmotionDataModule", "RunResult", "__version__", "fit", "load"]

_MODULES = {
    "BatchPredictor": "emotion_lit.cluster.batch_predictor",
    "EmotionClassifier": "emotion_lit.training.module",
    "EmotionDataModule": "emotion_lit.training.datamodule",
    "RunResult": "emotion_lit.training.run",
    "fit": "emotion_lit.training.run",
    "load": "emotion_lit.inference.loading",
}


def __getattr__(name: str) -> Any:
    """Imports on first use: the libraries underneath take seconds."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_MODULES[name]), name)
