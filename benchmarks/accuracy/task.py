"""What every contender is given and what it answers; knows none of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .budget import Budget, Stopwatch
from .protocols import Sample, Split


@dataclass(frozen=True)
class Task:
    """One training. `folder` is its own and stays between sittings; `variant` holds what differs from the contender's
    usual settings, as text by name; `stopwatch` is running. `nnunet_python`: of an environment that has nnU-Net."""

    split: Split
    seed: int
    budget: Budget
    folder: Path
    stopwatch: Stopwatch
    variant: Mapping[str, str]
    nnunet_python: Path | None = None


@dataclass(frozen=True)
class Trained:
    """A finished training: how many images it saw (repeats count), and how it labels test images, (H, W) uint8."""

    images_seen: int
    predict: Callable[[tuple[Sample, ...]], Iterator[np.ndarray]]


Contender = Callable[[Task], Trained]
