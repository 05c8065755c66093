"""All rules a second time, slowly: whole images, one class, one component and one pixel after the other."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from sever.config import RuleSettings

EIGHT = np.ones((3, 3), int)


def of_class(given: object, index: int) -> float:
    """The value of one class, of a setting that may be given once for all."""
    value = given[index] if isinstance(given, tuple) else given
    assert isinstance(value, int | float)
    return value


def components(mask_hw: np.ndarray) -> list[np.ndarray]:
    labels_hw, count = ndimage.label(mask_hw, structure=EIGHT)
    return [labels_hw == number for number in range(1, count + 1)]


def joined(parts: list[np.ndarray], like_hw: np.ndarray) -> np.ndarray:
    whole_hw = np.zeros_like(like_hw, dtype=bool)
    for part_hw in parts:
        whole_hw |= part_hw
    return whole_hw


def disc(radius: int) -> np.ndarray:
    rows, columns = np.indices((2 * radius + 1, 2 * radius + 1)) - radius
    return np.hypot(rows, columns) <= radius


def gated(probs_hw: np.ndarray, rules: RuleSettings, index: int, gate: np.ndarray | None) -> np.ndarray:
    if rules.gate.kind == "veto" and gate[index] < np.float32(of_class(rules.gate.threshold, index)):
        return np.zeros_like(probs_hw)
    return probs_hw * gate[index] if rules.gate.kind == "multiply" else probs_hw


def claimed(probs_hw: np.ndarray, rules: RuleSettings, index: int) -> np.ndarray:
    mask_hw = probs_hw > np.float32(of_class(rules.pixel_threshold, index))
    if rules.label_threshold is not None and probs_hw.max() <= np.float32(of_class(rules.label_threshold, index)):
        mask_hw[:] = False
    if rules.seed_threshold is not None:
        seed = np.float32(of_class(rules.seed_threshold, index))
        mask_hw = joined([part for part in components(mask_hw) if (probs_hw[part] > seed).any()], mask_hw)
    if rules.fill_holes:
        mask_hw = ndimage.binary_fill_holes(mask_hw)
    mask_hw = ndimage.binary_erosion(mask_hw, disc(int(of_class(rules.erode_pixels, index))), border_value=1)
    return ndimage.binary_dilation(mask_hw, disc(int(of_class(rules.dilate_pixels, index))))


def by_probability(masks: list[np.ndarray], probs: list[np.ndarray]) -> list[np.ndarray]:
    kept = [np.zeros_like(mask_hw) for mask_hw in masks]
    for place in np.ndindex(masks[0].shape):
        claiming = [index for index, mask_hw in enumerate(masks) if mask_hw[place]]
        if claiming:
            kept[max(claiming, key=lambda index: (probs[index][place], -index))][place] = True
    return kept


def by_size(masks: list[np.ndarray], probs: list[np.ndarray]) -> list[np.ndarray]:
    sizes = []
    for mask_hw in masks:
        size_hw = np.zeros(mask_hw.shape, int)
        for part_hw in components(mask_hw):
            size_hw[part_hw] = part_hw.sum()
        sizes.append(size_hw)
    return by_probability(masks, sizes)


def dominated(masks: list[np.ndarray], probs: list[np.ndarray]) -> list[np.ndarray]:
    waiting = [(index, part_hw) for index, mask_hw in enumerate(masks) for part_hw in components(mask_hw)]
    waiting.sort(key=lambda item: (-item[1].sum(), item[0]))
    kept = [np.zeros_like(mask_hw) for mask_hw in masks]
    while waiting:
        index, largest_hw = waiting.pop(0)
        kept[index] |= largest_hw
        waiting = [item for item in waiting if item[0] == index or not (item[1] & largest_hw).any()]
    return kept


OVERLAPS = {
    "highest_probability": by_probability,
    "larger_component": by_size,
    "component_domination": dominated,
    "allow": lambda masks, probs: masks,
}


def large_enough(mask_hw: np.ndarray, rules: RuleSettings, index: int, gate: np.ndarray | None) -> np.ndarray:
    least = of_class(rules.min_component_pixels, index)
    mask_hw = joined([part for part in components(mask_hw) if part.sum() >= least], mask_hw)
    area = of_class(rules.min_pixels, index)
    if rules.gate.kind == "soft":
        area = area * (1 + (rules.gate.factor - 1) * (1 - float(gate[index])))
    return mask_hw if mask_hw.sum() >= area else np.zeros_like(mask_hw)


def slow_masks(probs_chw: np.ndarray, rules: RuleSettings, gate: np.ndarray | None = None) -> np.ndarray:
    """Masks (C, H, W) uint8 from probabilities (C, H, W) float32."""
    probs = [gated(probs_hw, rules, index, gate) for index, probs_hw in enumerate(probs_chw)]
    masks = [claimed(probs_hw, rules, index) for index, probs_hw in enumerate(probs)]
    masks = OVERLAPS[rules.overlap](masks, probs)
    return np.stack([large_enough(mask_hw, rules, index, gate) for index, mask_hw in enumerate(masks)]).astype(np.uint8)
