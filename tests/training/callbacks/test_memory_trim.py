import sys

import lightning.pytorch as pl
import pytest
import torch

from emotion_lit.training.callbacks.memory_trim import MemoryTrim
from emotion_lit.utils.memory import keep_freed_memory, memory_mb


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc keeps what was freed, and can give it back")
def test_memory_that_is_kept_for_the_next_step_is_given_back_before_validation() -> None:
    keep_freed_memory()
    tensors = [torch.ones(2**18) for _ in range(400)]  # 1 MiB each
    held = memory_mb()
    del tensors
    assert memory_mb() > held - 100
    MemoryTrim().on_validation_start(pl.Trainer(logger=False, enable_checkpointing=False), pl.LightningModule())
    assert memory_mb() < held - 300
