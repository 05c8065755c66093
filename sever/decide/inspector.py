"""The one way from an image to its masks: predict, blend, apply the rules; knows no networks and no files.

Validation, submission, batch, service and report all call it, so their answers are identical. Probabilities
are kept on the 8-bit levels in which maps are stored, so that a stored map and a live one give equal masks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from sever.config import RuleSettings
from sever.decide.postprocess import dequantise, draw_masks, quantise

# Images (H, W, channels) uint8, of any sizes, to probabilities (C, H, W) float32 of the same sizes.
Predict: TypeAlias = Callable[[Sequence[np.ndarray]], list[np.ndarray]]


@dataclass(frozen=True)
class Inspection:
    """What was found in one image: probabilities (C, H, W) float32 on 8-bit levels, masks (C, H, W) uint8."""

    probs_chw: np.ndarray
    masks_chw: np.ndarray


@dataclass(frozen=True)
class Inspector:
    """Networks, and the rules for their blend. `min_pixels` has one entry a class (`resolve_min_pixels`)."""

    predictors: tuple[Predict, ...]
    rules: RuleSettings
    min_pixels: tuple[int, ...]

    def inspect(self, images: Sequence[np.ndarray]) -> list[Inspection]:
        """Probabilities and masks of some images (H, W, channels) uint8, in their order."""
        return [Inspection(dequantise(levels), self.masks(levels)) for levels in self._levels(images)]

    def probabilities(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Mean of the networks' probabilities, (C, H, W) float32 an image, each on one of 256 levels."""
        return [dequantise(levels) for levels in self._levels(images)]

    def masks(self, probs_chw: np.ndarray) -> np.ndarray:
        """Masks (C, H, W) uint8 of one probability map: float32, or the 8-bit levels that were stored."""
        levels_chw = probs_chw if probs_chw.dtype == np.uint8 else quantise(probs_chw)
        return draw_masks(levels_chw, self.rules, self.min_pixels)

    def _levels(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        assert self.predictors, "an Inspector needs a network to predict; masks() alone works without"
        first, *others = self.predictors
        sums = first(images)
        for predict in others:
            sums = [total + probs_chw for total, probs_chw in zip(sums, predict(images), strict=True)]
        share = np.float32(1 / len(self.predictors))
        return [quantise(total * share) for total in sums]
