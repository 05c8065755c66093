"""What networks say of an image, from the network through the blend; knows neither networks nor rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from sever.decide.ensemble import Blend

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


def combine(predictions: Sequence[Prediction], blend: Blend) -> Prediction:
    """What several networks say of one image: their maps blended, and the plain mean of their label probabilities."""
    maps = [each.probs_chw for each in predictions if each.probs_chw is not None]
    labels = [each.label_probs_c for each in predictions if each.label_probs_c is not None]
    label_probs_c = np.asarray(np.mean(labels, axis=0, dtype=np.float32)) if labels else None
    return Prediction(blend(maps) if maps else None, label_probs_c)
