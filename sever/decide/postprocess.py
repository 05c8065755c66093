"""The rules that turn probability maps into masks; knows nothing of networks, files or true masks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sever.config import RuleSettings
from sever.errors import InputError

# Smallest areas of the 2019 solution for the competition's four classes, in pixels of a 256x1600 image.
SEVERSTAL_MIN_PIXELS = (600, 600, 1000, 2000)


def quantise(probs_chw: np.ndarray) -> np.ndarray:
    """Probabilities to 8-bit levels, 0..255, the form in which maps are stored; off by 1/510 at most.

    Halves go down, so that a probability is above 0.5 exactly when its level is.
    """
    scaled = probs_chw * np.float32(255)
    scaled -= np.float32(0.5)
    return np.ceil(scaled, out=scaled).astype(np.uint8)


def dequantise(levels_chw: np.ndarray) -> np.ndarray:
    """8-bit levels back to probabilities, float32."""
    return np.divide(levels_chw, np.float32(255), dtype=np.float32)


def resolve_min_pixels(rules: RuleSettings, num_classes: int, severstal: bool) -> tuple[int, ...]:
    """One smallest area a class, in pixels, from what the settings leave open.

    `severstal`: the labels came in the competition's layout. Raises InputError for a wrong count.
    """
    given = rules.min_pixels
    if given is None:
        fits_2019 = severstal and num_classes == len(SEVERSTAL_MIN_PIXELS)
        return SEVERSTAL_MIN_PIXELS if fits_2019 else (0,) * num_classes
    areas = (given,) * num_classes if isinstance(given, int) else given
    if len(areas) != num_classes:
        raise InputError(
            f"rules.min_pixels has {len(areas)} entries ({areas}), but there are {num_classes} classes; "
            "give one number a class, or a single number for all"
        )
    return areas


def draw_masks(probs_chw: np.ndarray, rules: RuleSettings, min_pixels: tuple[int, ...]) -> np.ndarray:
    """Masks (C, H, W) uint8 of 0 and 1 from probabilities (C, H, W), float32 or 8-bit levels alike.

    In the order of 2019: pixels strictly above the threshold; then overlaps; then classes with fewer than
    `min_pixels` pixels are emptied. A class emptied for its size leaves clean pixels: those that it won in an
    overlap do not go back to the loser.
    """
    assert len(min_pixels) == len(probs_chw), f"{len(min_pixels)} areas for {len(probs_chw)} classes"
    masks_chw = _above(probs_chw, rules.pixel_threshold).view(np.uint8)
    OVERLAPS[rules.overlap](masks_chw, probs_chw)
    for mask_hw, area in zip(masks_chw, min_pixels, strict=True):
        if np.count_nonzero(mask_hw) < area:
            mask_hw[:] = 0
    return masks_chw


def _above(probs_chw: np.ndarray, threshold: float) -> np.ndarray:
    if probs_chw.dtype != np.uint8:
        return probs_chw > np.float32(threshold)
    # Compared as float32, exactly as the dequantised map would be, but once a level in place of once a pixel.
    levels = dequantise(np.arange(256, dtype=np.uint8))
    lowest_above = np.searchsorted(levels, np.float32(threshold), side="right")
    return probs_chw >= np.int16(lowest_above)


def _keep_most_probable(masks_chw: np.ndarray, probs_chw: np.ndarray) -> None:
    """Leave each pixel to the class with the highest probability, of equals the first; changes `masks_chw`.

    All classes share one threshold, so the most probable class of a contested pixel is one that claims it.
    """
    if sum(bool(mask_hw.any()) for mask_hw in masks_chw) < 2:
        return
    highest_hw = np.maximum.reduce(probs_chw)
    free_hw = np.ones(highest_hw.shape, dtype=bool)
    for mask_hw, probs_hw in zip(masks_chw, probs_chw, strict=True):
        mask_hw &= (probs_hw == highest_hw) & free_hw
        free_hw &= mask_hw == 0


def _keep_all(masks_chw: np.ndarray, probs_chw: np.ndarray) -> None:
    """Let a pixel belong to several classes."""


OVERLAPS: dict[str, Callable[[np.ndarray, np.ndarray], None]] = {
    "highest_probability": _keep_most_probable,
    "allow": _keep_all,
}
