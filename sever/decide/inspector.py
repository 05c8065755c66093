"""The one way from an image to its masks: predict, blend, gate, apply the rules; knows no networks and no files.

Validation, submission, batch, service and report all call it, so their answers are identical. Probabilities
are kept on the 8-bit levels in which maps are stored, so that a stored map and a live one give equal masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sever.decide.ensemble import Blend
from sever.decide.postprocess import dequantise, draw_masks, quantise
from sever.decide.prediction import Predict, Prediction
from sever.decide.rules import Rules


@dataclass(frozen=True)
class Inspection:
    """What was found in one image: probabilities (C, H, W) float32 on 8-bit levels, masks (C, H, W) uint8, and the
    gate's (C,) float32 where a network has an opinion of the image as a whole."""

    probs_chw: np.ndarray
    masks_chw: np.ndarray
    gate_probs_c: np.ndarray | None = None


@dataclass(frozen=True)
class Inspector:
    """Networks, how their maps are blended, and the rules. The gate is the plain mean of all label probabilities."""

    predictors: tuple[Predict, ...]
    rules: Rules
    blend: Blend = field(default_factory=Blend)

    def inspect(self, images: Sequence[np.ndarray]) -> list[Inspection]:
        """Probabilities, gate and masks of some images (H, W, channels) uint8, in their order."""
        return [self._conclude(seen) for seen in self.see(images)]

    def see(self, images: Sequence[np.ndarray]) -> list[Prediction]:
        """What all networks together say, before rounding and rules: so that a blend can be a member of another."""
        assert self.predictors, "an Inspector needs a network to predict; masks() alone works without"
        by_network = [predict(images) for predict in self.predictors]
        return [self._blended(seen) for seen in zip(*by_network, strict=True)]

    def masks(self, probs_chw: np.ndarray, gate_probs_c: np.ndarray | None = None) -> np.ndarray:
        """Masks (C, H, W) uint8 of one probability map: float32, or the 8-bit levels that were stored."""
        levels_chw = probs_chw if probs_chw.dtype == np.uint8 else quantise(probs_chw)
        return draw_masks(levels_chw, self.rules, gate_probs_c)

    def _blended(self, seen: Sequence[Prediction]) -> Prediction:
        maps = [each.probs_chw for each in seen if each.probs_chw is not None]
        labels = [each.label_probs_c for each in seen if each.label_probs_c is not None]
        label_probs_c = np.asarray(np.mean(labels, axis=0, dtype=np.float32)) if labels else None
        return Prediction(self.blend(maps) if maps else None, label_probs_c)

    def _conclude(self, seen: Prediction) -> Inspection:
        assert seen.probs_chw is not None, "classifiers alone draw no masks"
        levels_chw = quantise(seen.probs_chw)
        masks_chw = self.masks(levels_chw, seen.label_probs_c)
        return Inspection(dequantise(levels_chw), masks_chw, seen.label_probs_c)
