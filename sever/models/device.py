"""Where the numbers are computed, and how precisely; refuses what this machine can't do."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, broadcast_object_list

from sever.errors import InputError
from sever.progress import warn

T = TypeVar("T")


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
        raise InputError("precision fp16 needs a GPU; on a CPU use auto, or no for full precision")
    return found


def fitting_precision(precision: str, device: torch.device) -> str:
    """What `auto` means on this device: bf16 where it has units for it, else no (full precision).

    Without them every operation converts to full precision and back (docs/results.md has what that costs), so bf16 by
    somebody's own choice gets a warning there.
    """
    if precision == "auto":
        return "bf16" if has_bf16_units(device) else "no"
    if precision == "bf16" and not has_bf16_units(device):
        _warn_of_slow_bf16()
    return precision


@cache
def has_bf16_units(device: torch.device) -> bool:
    """Whether bf16 is faster than full precision there. What this can't find out of an accelerator has them."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return True
    if hasattr(torch.cpu, "get_capabilities"):  # of every kind of processor
        return any(has for name, has in torch.cpu.get_capabilities().items() if "bf16" in name)
    return bool(torch.cpu._is_avx512_bf16_supported())


@cache
def _warn_of_slow_bf16() -> None:
    warn("this processor has no bf16 units, so bf16 takes several times as long as full precision (--precision no)")


def from_main(accelerator: Accelerator, make: Callable[[], T]) -> T:
    """What `make` returns in the main process, in all processes; it is called in the main one only."""
    shared: list[Any] = [make() if accelerator.is_main_process else None]
    if accelerator.num_processes > 1:
        broadcast_object_list(shared)
    return shared[0]


def make_accelerator(device: str, precision: str) -> Accelerator:
    """Device placement and mixed precision for training, by accelerate. Raises InputError as pick_device does."""
    found = pick_device(device, precision)
    precision = fitting_precision(precision, found)
    # accelerate keeps device and precision in process-wide state: forget those of an earlier experiment.
    AcceleratorState._reset_state()
    # Some encoders carry parameters that no gradient reaches (efficientnet-b*): several processes must allow for that.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    accelerator = Accelerator(cpu=found.type == "cpu", mixed_precision=precision, kwargs_handlers=[unused])
    if accelerator.num_processes > 1:
        # Left to the interpreter's end, the connections break while the other process still holds them, and it aborts.
        atexit.unregister(_part)
        atexit.register(_part)
    return accelerator


def _part() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
