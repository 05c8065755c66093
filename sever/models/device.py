"""Where the numbers are computed, and how precisely; refuses what this machine can't do."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs

from sever.errors import InputError


def pick_device(device: str, precision: str) -> torch.device:
    """The device that `device` means: auto (the best there is), cpu, or what torch calls an accelerator.

    Raises InputError when it is absent, or can't compute at this precision.
    """
    best = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if device in ("auto", "cpu"):
        found = torch.device("cpu") if device == "cpu" or best is None else best
    elif best is not None and best.type == device.split(":")[0]:
        found = torch.device(device)
    else:
        there = f"cpu, {best.type}" if best is not None else "cpu"
        raise InputError(f"device {device!r} is not available here; there is: {there} (or auto for the best)")
    if precision == "fp16" and found.type == "cpu":
        raise InputError("precision fp16 needs a GPU; on a CPU use bf16, or no for full precision")
    return found


def make_accelerator(device: str, precision: str) -> Accelerator:
    """Device placement and mixed precision for training, by accelerate. Raises InputError as pick_device does."""
    found = pick_device(device, precision)
    # accelerate keeps device and precision in process-wide state: forget those of an earlier experiment.
    AcceleratorState._reset_state()
    # Some encoders carry parameters that no gradient reaches (efficientnet-b*): several processes must allow for that.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    return Accelerator(cpu=found.type == "cpu", mixed_precision=precision, kwargs_handlers=[unused])
