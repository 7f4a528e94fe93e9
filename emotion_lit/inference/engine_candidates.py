"""Which engines are tried on an input, according to `prediction.engine`, and on how many of its rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from emotion_lit.data.batching import Batch
from emotion_lit.inference.engine_selection import choose
from emotion_lit.inference.engines import ONNX, ONNX_INT8, TORCH, TORCH_BF16
from emotion_lit.inference.onnx_engine import has_onnx, need_onnx
from emotion_lit.model.factory import TrainedNetwork
from emotion_lit.model.precision import BFLOAT, native_precision

# Engines are compared on a twentieth of the input, but on 500 to 2,000 rows.
MOST_ROWS, FEWEST_ROWS, SHARE_OF_ROWS = 2000, 500, 20
# The smallest input for which measuring the speed pays.
WORTH_TIMING = 1000


@dataclass(frozen=True)
class EngineRequest:
    """What the settings ask for.

    Args:
        engine: ``torch``, ``onnx``, or ``auto``.
        quantize: ``none``, or ``int8``.
        bf16: Whether half precision may be tried.
    """

    engine: str
    quantize: str
    bf16: bool

    def candidates(self, rows: int, device_type: str) -> list[str]:
        """The engines to try on a new input; none if PyTorch computes.

        Args:
            rows: The number of rows.
            device_type: Where PyTorch computes.

        Raises:
            UserError: The packages for ONNX are missing.
        """
        int8 = [ONNX_INT8] if self.quantize == "int8" else []
        if self.engine == ONNX:
            need_onnx()
            return [*int8, ONNX]
        if self.engine == TORCH or rows < WORTH_TIMING or device_type != "cpu":
            return []
        bf16 = [TORCH_BF16] if self.bf16 and native_precision("cpu") == BFLOAT else []
        return [TORCH, *bf16, *([ONNX, *int8] if has_onnx() else [])]


def choose_for_input(
    wanted: EngineRequest,
    model: TrainedNetwork,
    first_batches: Callable[[int], Sequence[Batch]],
    rows: int | None,
    checkpoint: Path,
    device_type: str,
    earlier: str | None,
) -> str:
    """Chooses the engine for an input.

    Args:
        wanted: What the settings ask for.
        model: The trained model.
        first_batches: Returns batches of the input with about so many texts.
        rows: The number of rows of the input; None if it is not known.
        checkpoint: The model's checkpoint; ONNX files are kept next to it.
        device_type: Where PyTorch computes.
        earlier: The engine of the run that this one resumes; it is compared again.

    Returns:
        The engine's name.

    Raises:
        UserError: The packages for ONNX are missing.
    """
    if TORCH in (earlier, wanted.engine):
        return TORCH
    rows = MOST_ROWS * SHARE_OF_ROWS if rows is None else rows
    candidates = [earlier] if earlier is not None else wanted.candidates(rows, device_type)
    if not candidates:
        return TORCH
    batches = first_batches(min(MOST_ROWS, max(FEWEST_ROWS, rows // SHARE_OF_ROWS)))
    if not batches:
        return earlier or TORCH
    return choose(candidates, model, batches, checkpoint, TORCH in candidates, again=earlier is not None)
