"""load(path) -> Predictor: a trained model for notebooks, apps and servers."""

from pathlib import Path

from emotion_lit.inference.engines import TorchEngine
from emotion_lit.inference.export_contract import read_contract
from emotion_lit.inference.export_files import ADAPTER_CONFIG
from emotion_lit.inference.export_loader import Export
from emotion_lit.inference.locations import find_model
from emotion_lit.inference.predictor import Predictor
from emotion_lit.model import checkpoint as checkpoints
from emotion_lit.model.factory import restore
from emotion_lit.utils import platforms
from emotion_lit.utils.console import say

NOT_USED = "backbone {backbone} is not used: {path} contains the whole model"


def load(path: str | Path, backbone: str | None = None, device: str | None = None) -> Predictor:
    """Loads a trained model.

    Args:
        path: A checkpoint that `fit` wrote, its run folder, a folder that `export` wrote, or the Hub id of a repository
            with an export or a `best.ckpt`.
        backbone: Where the base model of a `head` or `lora` checkpoint, or of an adapter, is, if not where it was: a
            folder or a Hub id.
        device: A torch device. The default is a GPU if there is one, but the CPU for an export. ONNX Runtime always
            uses the CPU.

    Raises:
        UserError: The checkpoint, or the base model that it was trained on, cannot be loaded.
    """
    place = find_model(path)
    contract = read_contract(place)
    if contract is not None:
        if backbone and not (place / ADAPTER_CONFIG).is_file():
            say(NOT_USED.format(backbone=backbone, path=path))
        export = Export(place, contract).load(backbone, device=device or "cpu")
        return Predictor(export.engine, export.tokenizer, export.decision, export.max_length)
    checkpoint = checkpoints.read_checkpoint(place)
    if backbone and checkpoint[checkpoints.KEY].get("files"):
        say(NOT_USED.format(backbone=backbone, path=path))
    model = restore(checkpoint, backbone, merge_adapters=True)
    engine = TorchEngine(model.network, model.decision)
    engine.to(device or platforms.device_type())
    return Predictor(engine, model.tokenizer, model.decision, model.max_length, model.tokens_per_batch)
