"""The arithmetic that suits the hardware."""

import torch


def native_precision(accelerator: str) -> str:
    """Mixed bfloat16 where it is computed natively, else single precision.

    Args:
        accelerator: As Lightning's Trainer takes it: ``cpu``, ``gpu``, ``cuda``, ``auto``, ...
    """
    on_gpu = accelerator in {"gpu", "cuda", "auto"} and torch.cuda.is_available()
    if on_gpu:
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    if accelerator in {"cpu", "auto"} and not torch.backends.mps.is_available() and _cpu_has_bf16():
        return "bf16-mixed"
    return "32-true"


def _cpu_has_bf16() -> bool:
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported", "_is_arm_bf16_supported")
    return any(getattr(torch.cpu, probe, bool)() for probe in probes)
