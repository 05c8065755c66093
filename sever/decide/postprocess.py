"""The rules that turn probability maps into masks; knows nothing of networks, files or true masks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sever.decide.rules import Rules


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


def draw_masks(probs_chw: np.ndarray, rules: Rules, gate_probs_c: np.ndarray | None = None) -> np.ndarray:
    """Masks (C, H, W) uint8 of 0 and 1 from probabilities (C, H, W), float32 or 8-bit levels alike.

    `gate_probs_c`: (C,) the image classifier's probabilities; without them the gate does nothing.
    In the order of 2019: pixels strictly above the threshold; then overlaps; then classes with fewer than
    `min_pixels` pixels are emptied. A class emptied for its size leaves clean pixels: those that it won in an
    overlap do not go back to the loser.
    """
    assert rules.num_classes == len(probs_chw), f"rules for {rules.num_classes} classes, not {len(probs_chw)}"
    masks_chw = np.stack(
        [
            _above(probs_hw, each.pixel_threshold).view(np.uint8)
            for probs_hw, each in zip(probs_chw, rules.classes, strict=True)
        ]
    )
    OVERLAPS[rules.overlap](masks_chw, probs_chw)
    for mask_hw, each in zip(masks_chw, rules.classes, strict=True):
        if np.count_nonzero(mask_hw) < each.min_pixels:
            mask_hw[:] = 0
    return masks_chw


def _above(probs_hw: np.ndarray, threshold: float) -> np.ndarray:
    if probs_hw.dtype != np.uint8:
        return probs_hw > np.float32(threshold)
    # Compared as float32, exactly as the dequantised map would be, but once a level in place of once a pixel.
    levels = dequantise(np.arange(256, dtype=np.uint8))
    lowest_above = np.searchsorted(levels, np.float32(threshold), side="right")
    return probs_hw >= np.int16(lowest_above)


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
