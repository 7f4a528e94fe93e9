"""The curves that a run has kept for TensorBoard."""

from pathlib import Path

CURVES = ("train/loss_epoch", "train/macro_f1", "val/loss", "val/macro_f1")

History = dict[str, list[tuple[float, float]]]


def read_history(folder: Path) -> History:
    """Steps and values of loss and macro-F1 on training and validation rows; empty where nothing was kept.

    Args:
        folder: The run folder.
    """
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

    if not any(folder.glob("events.out.tfevents.*")):
        return {}
    events = EventAccumulator(str(folder), size_guidance={SCALARS: 0}).Reload()
    there = set(events.Tags()["scalars"])
    # By step: a run that was killed and went on has logged some of them twice.
    by_step = {tag: {float(one.step): one.value for one in events.Scalars(tag)} for tag in CURVES if tag in there}
    return {tag: sorted(values.items()) for tag, values in by_step.items()}
