"""What networks say of an image, from the network to the blend; knows neither networks nor rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

# A network, whatever library it runs in: pixels (N, H, W, channels) uint8 to probabilities, maps (N, C, H, W) float32
# and labels (N, C) float32; None where it has no such head.
Forward: TypeAlias = Callable[[np.ndarray], tuple[np.ndarray | None, np.ndarray | None]]


@dataclass(frozen=True)
class Prediction:
    """Of one image: its pixels' probabilities (C, H, W) float32 from a segmenter, and that it shows each class (C,)
    float32 from a classifier; both from a segmenter with a label head."""

    probs_chw: np.ndarray | None = None
    label_probs_c: np.ndarray | None = None


# Images (H, W, channels) uint8, of any sizes, to what a network, or several as one, say of each.
Predict: TypeAlias = Callable[[Sequence[np.ndarray]], list[Prediction]]
