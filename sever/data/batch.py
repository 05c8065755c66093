"""A batch of samples, and how it comes from a loader's process to the one that trains; knows no images or labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor


class TrainingBatch(NamedTuple):
    """Pixels (N, channels, H, W) and masks (N, C, H, W), both uint8.

    Between processes it goes as plain arrays, through a pipe. torch's own way, through shared memory, needs a
    /dev/shm that holds several batches: where it is too small (a container has 64 MB by default), a process is killed
    or, worse, its batch is lost and training waits for it for ever. A pipe copies once more and is no slower
    (benchmarks/batches.py).
    """

    pixels: Tensor
    masks: Tensor

    def __reduce__(self) -> tuple[Callable[..., TrainingBatch], tuple[Any, ...]]:
        return _from_arrays, (self.pixels.numpy(), self.masks.numpy())


def _from_arrays(pixels: np.ndarray, masks: np.ndarray) -> TrainingBatch:
    return TrainingBatch(torch.from_numpy(pixels), torch.from_numpy(masks))
