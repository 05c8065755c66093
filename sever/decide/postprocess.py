"""The rules that turn probability maps into masks, in their order; knows nothing of networks, files or true masks."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from sever.decide.gate import GateEffect, gate_effects
from sever.decide.layers import Layer
from sever.decide.levels import above, dequantise, quantise, scaled
from sever.decide.overlaps import OVERLAPS
from sever.decide.rules import ClassRules, Rules

__all__ = ["claimed_levels", "dequantise", "draw_masks", "quantise"]


def draw_masks(probs_chw: np.ndarray, rules: Rules, gate_probs_c: np.ndarray | None = None) -> np.ndarray:
    """Masks (C, H, W) uint8 of 0 and 1 from probabilities (C, H, W), float32 or 8-bit levels alike.

    `gate_probs_c`: (C,) the image classifier's probabilities. The order is that of RuleSettings, where every rule is
    explained: gate; thresholds of pixel, label and seed; holes filled; eroded; dilated; overlaps; small components;
    small classes. Everything strictly above its threshold, and not below its smallest area, stays.
    Raises InputError where the rules ask for a gate and there are no `gate_probs_c`.
    """
    assert rules.num_classes == len(probs_chw), f"rules for {rules.num_classes} classes, not {len(probs_chw)}"
    effects = gate_effects(rules, gate_probs_c)
    masks_chw = np.zeros(probs_chw.shape, np.uint8)
    claims = {
        index: above(probs_hw, each.pixel_threshold, effect.scale)
        for index, (probs_hw, each, effect) in enumerate(zip(probs_chw, rules.classes, effects, strict=True))
        if _is_there(probs_hw, each, effect)
    }
    if not claims:
        return masks_chw
    # One box around all that is claimed, as most images are mostly clean; with room for masks to grow.
    rows, columns = _box(claims.values(), margin=1 + max(each.dilate_pixels for each in rules.classes))
    layers = {
        index: Layer(claim_hw[rows, columns], probs_chw[index, rows, columns], effects[index].scale)
        for index, claim_hw in claims.items()
    }
    for index, layer in layers.items():
        _shape(layer, rules.classes[index], rules.fill_holes)
    OVERLAPS[rules.overlap](list(layers.values()))
    for index, layer in layers.items():
        _drop_small(layer, rules.classes[index].min_component_pixels, effects[index].min_pixels)
        masks_chw[index, rows, columns] = layer.mask_hw
    return masks_chw


def claimed_levels(probs_chw: np.ndarray, rules: Rules, gate_probs_c: np.ndarray | None = None) -> np.ndarray | None:
    """The 8-bit levels (C, H, W) of the classes that claim a pixel, and 0 of all others; None where none does.

    `draw_masks` draws the same masks from them as from all levels, since a class takes part by its claims alone. Most
    maps of clean strip are done with by their highest probability: rounding never changes which one that is.
    Raises InputError for what is not a probability, as `quantise` does.
    """
    highest = [probs_hw.max() for probs_hw in probs_chw]
    peaks = quantise(np.array([probs_chw.min(), *highest], np.float32))[1:]
    effects = gate_effects(rules, gate_probs_c)
    claimed = [
        index
        for index, (each, effect) in enumerate(zip(rules.classes, effects, strict=True))
        if _is_there(peaks[index : index + 1], each, effect)
    ]
    if not claimed:
        return None
    levels_chw = np.zeros(probs_chw.shape, np.uint8)
    for index in claimed:
        levels_chw[index] = quantise(probs_chw[index])
    return levels_chw


def _is_there(probs_hw: np.ndarray, rules: ClassRules, effect: GateEffect) -> bool:
    """Whether the class claims any pixel: decided by its most probable one, before anything is drawn."""
    asked = [rules.pixel_threshold, rules.label_threshold or 0.0, rules.seed_threshold or 0.0]
    return effect.is_open and bool(scaled(probs_hw.max(), effect.scale) > np.float32(max(asked)))


def _box(masks: Iterable[np.ndarray], margin: int) -> tuple[slice, slice]:
    """Rows and columns of the image around all masks, `margin` pixels wider on every side that isn't the border."""
    boxes = np.array([cv2.boundingRect(mask_hw) for mask_hw in masks])
    left, top = np.maximum(boxes[:, :2].min(axis=0) - margin, 0).tolist()
    # Past the image's end a slice stops by itself.
    right, bottom = ((boxes[:, :2] + boxes[:, 2:]).max(axis=0) + margin).tolist()
    return slice(top, bottom), slice(left, right)


def _shape(layer: Layer, rules: ClassRules, fill_holes: bool) -> None:
    """The rules that look at one class alone, and on its pixels."""
    # A seed no higher than the pixels' own threshold is in every component.
    if rules.seed_threshold is not None and rules.seed_threshold > rules.pixel_threshold:
        layer.remove(~layer.components.that_hold(layer.above(rules.seed_threshold)))
    if fill_holes:
        _fill_holes(layer)
    if rules.erode_pixels:
        layer.redraw(cv2.erode(layer.mask_hw, _disc(rules.erode_pixels)))
    if rules.dilate_pixels:
        layer.redraw(cv2.dilate(layer.mask_hw, _disc(rules.dilate_pixels)))


def _fill_holes(layer: Layer) -> None:
    """What can't be reached from outside by steps to the side becomes mask."""
    reached_hw = cv2.copyMakeBorder(layer.mask_hw, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    cv2.floodFill(reached_hw, None, (0, 0), 2, flags=4)
    holes_hw = reached_hw[1:-1, 1:-1] == 0
    if holes_hw.any():
        layer.redraw(layer.mask_hw | holes_hw)


def _disc(radius: int) -> np.ndarray:
    """Pixels whose centres are within the radius: (2 * radius + 1) squared, uint8.

    Drawn here, since what OpenCV calls an ellipse is no symmetric one at small radii.
    """
    across = np.arange(-radius, radius + 1)
    return (across[:, None] ** 2 + across[None, :] ** 2 <= radius**2).astype(np.uint8)


def _drop_small(layer: Layer, min_component_pixels: int, min_pixels: float) -> None:
    pixels = cv2.countNonZero(layer.mask_hw)
    if min_component_pixels > 1 and pixels >= max(min_component_pixels, min_pixels):
        layer.remove(layer.components.sizes < min_component_pixels)
        pixels = cv2.countNonZero(layer.mask_hw)
    if pixels < max(min_component_pixels, min_pixels):
        layer.mask_hw[:] = 0
