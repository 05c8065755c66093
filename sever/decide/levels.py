"""Probabilities as 8-bit levels and back, and thresholds that treat both alike; knows nothing of masks' rules."""

from __future__ import annotations

import functools

import numpy as np

from sever.errors import InputError

NUM_LEVELS = 256
# What rounding may add to a probability: blends of bf16 answers end a little above 1.
_TOLERANCE = 0.01


def quantise(probs_chw: np.ndarray) -> np.ndarray:
    """Probabilities to 8-bit levels, 0..255, the form in which maps are stored; off by 1/510 at most.

    Halves go down, so that a probability is above 0.5 exactly when its level is. Raises InputError for what is no
    probability: a network whose weights are damaged, or that overflows, must not look like one that finds nothing.
    """
    lowest, highest = (probs_chw.min(), probs_chw.max()) if probs_chw.size else (0.0, 1.0)
    if not (lowest >= -_TOLERANCE and highest <= 1 + _TOLERANCE):  # so written, it catches NaN
        raise InputError(
            f"the network's probabilities run from {lowest:g} to {highest:g}; its weights are damaged, or the "
            "precision is too low for it: try train.precision no, or another checkpoint"
        )
    scaled = (probs_chw if lowest >= 0 and highest <= 1 else probs_chw.clip(0, 1)) * np.float32(255)
    scaled -= np.float32(0.5)
    return np.ceil(scaled, out=scaled).astype(np.uint8)


def dequantise(levels_chw: np.ndarray) -> np.ndarray:
    """8-bit levels back to probabilities, float32."""
    return np.divide(levels_chw, np.float32(255), dtype=np.float32)


def scaled(probs: np.ndarray, scale: np.float32) -> np.ndarray:
    """Probabilities, float32, times `scale`; from probabilities or 8-bit levels, to the last bit alike."""
    values = dequantise(probs) if probs.dtype == np.uint8 else probs
    return values if scale == 1 else values * scale


def above(probs_hw: np.ndarray, threshold: float, scale: np.float32) -> np.ndarray:
    """Where scaled probabilities are above the threshold: (H, W) uint8 of 0 and 1."""
    if probs_hw.dtype != np.uint8:
        return (scaled(probs_hw, scale) > np.float32(threshold)).view(np.uint8)
    # Compared as float32, exactly as the dequantised map would be, but once a level in place of once a pixel.
    lowest = np.searchsorted(scaled(_every_level(), scale), np.float32(threshold), side="right")
    return (probs_hw >= int(lowest)).view(np.uint8)


@functools.cache
def _every_level() -> np.ndarray:
    return np.arange(NUM_LEVELS, dtype=np.uint8)
