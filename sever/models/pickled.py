"""What a .pth holds, without running any code from it; knows not what it means."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sever.errors import InputError

# numpy's plain numbers (a best score, say): they are built from a type and bytes alone.
_SCALAR_MODULE: Any = np._core if hasattr(np, "_core") else np.core
_NUMBERS = [np.float64, np.float32, np.int64, np.int32, np.bool_]
SAFE: list[Any] = [
    (_SCALAR_MODULE.multiarray.scalar, "numpy.core.multiarray.scalar"),
    (_SCALAR_MODULE.multiarray.scalar, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(number)) for number in _NUMBERS),
]


def read_pickled(path: Path) -> Any:
    """Tensors, numbers, texts, lists and dictionaries, on the CPU. Raises InputError for anything else in it."""
    try:
        with torch.serialization.safe_globals(SAFE):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own words advise to run the code, and colour the terminal.
        raise InputError(
            f"cannot read weights from {path}: it is damaged, or holds more than tensors and numbers, and none of its "
            "code is run; copy it again from its source, or save it as .safetensors"
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # the file is a program for torch's reader, and damage can make that stumble anywhere
        reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        raise InputError(
            f"cannot read weights from {path}: {reason}; copy it again from its source, or save it as .safetensors"
        ) from error
