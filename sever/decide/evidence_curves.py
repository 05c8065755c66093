"""Curves and counts that a report shows of one class's evidence: thresholds, smallest areas, calibration, gate, doubt.

Knows no images, files or HTML. A map enters as its counts of 8-bit levels, an image as a few numbers, so that any
number of images needs little memory. "Above" is strictly above, exactly as `draw_masks` compares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from sever.config.mask_values import IGNORED
from sever.decide.levels import NUM_LEVELS, dequantise
from sever.decide.rules import Rules

LEVEL_PROBS = dequantise(np.arange(NUM_LEVELS, dtype=np.uint8))  # (256,) float32


def level_counts(levels_hw: np.ndarray, true_hw: np.ndarray) -> np.ndarray:
    """(2, 256) int64: pixels at each 8-bit level, first of the whole map, then those that truly are defect.

    True pixels that are IGNORED are left out of both.
    """
    if (ignored_hw := true_hw == IGNORED).any():
        levels_hw, true_hw = levels_hw[~ignored_hw], true_hw[~ignored_hw]
    everywhere = np.bincount(levels_hw.ravel(), minlength=NUM_LEVELS)
    inside_hw = true_hw != 0
    if not inside_hw.any():
        return np.stack([everywhere, np.zeros_like(everywhere)])
    return np.stack([everywhere, np.bincount(levels_hw[inside_hw], minlength=NUM_LEVELS)])


def areas_above(counts_l: np.ndarray, thresholds_t: np.ndarray) -> np.ndarray:
    """(T,) int64: how many of the pixels counted by level (256,) lie above each threshold."""
    from_level = np.append(np.cumsum(counts_l[::-1])[::-1], 0)
    return np.asarray(from_level[np.searchsorted(LEVEL_PROBS, np.float32(thresholds_t), side="right")])


def threshold_dice(counts_2l: np.ndarray, thresholds_t: np.ndarray, smallest: float = 0.0) -> np.ndarray:
    """(T,) Dice of one (image, class) by pixel threshold alone; masks with fewer than `smallest` pixels are dropped.

    `counts_2l` is what `level_counts` gave. Holes, components and other classes play no part in it.
    """
    predicted, common = (areas_above(counts_l, thresholds_t) for counts_l in counts_2l)
    return _kept_dice(predicted, common, counts_2l[1].sum(), predicted >= smallest)


def area_curve(
    predicted_n: np.ndarray, common_n: np.ndarray, true_n: np.ndarray, smallest_mn: np.ndarray
) -> np.ndarray:
    """(M,) mean Dice of one class over N images, if the masks with fewer than `smallest_mn` pixels were dropped.

    `predicted_n`, `common_n`, `true_n`: pixels of each mask drawn without a smallest area, of what it shares with the
    truth, and of the truth. `smallest_mn` may differ from image to image, as the soft gate makes it.
    """
    kept_mn = predicted_n >= smallest_mn
    return np.array([_kept_dice(predicted_n, common_n, true_n, kept_n).mean() for kept_n in kept_mn])


def _kept_dice(predicted: np.ndarray, common: np.ndarray, true: np.ndarray, kept: np.ndarray) -> np.ndarray:
    predicted, common = predicted * kept, common * kept
    total = predicted + true
    return np.where(total > 0, 2 * common / np.maximum(total, 1), 1.0)


def area_grid(largest: float, chosen: float, steps: int = 48) -> np.ndarray:
    """(M,) smallest areas worth a look, in pixels: 0, then by equal ratios up to `largest`; `chosen` is among them."""
    rising = np.geomspace(1, max(largest, 2 * chosen, 2), steps).round()
    return np.unique(np.concatenate([[0, chosen], rising]))


@dataclass(frozen=True)
class Reliability:
    """Bins of equal width over 0..1: how many, their mean probability and the share that is true (NaN where empty).

    `error` is the expected calibration error, the mean of |share - probability| weighted by counts (Naeini et al.
    2015); NaN without anything counted.
    """

    counts_b: np.ndarray
    mean_probs_b: np.ndarray
    shares_b: np.ndarray
    error: float


def reliability(probs_k: np.ndarray, counts_k: np.ndarray, positives_k: np.ndarray, bins: int = 10) -> Reliability:
    """Of `counts_k` cases with probability `probs_k`, `positives_k` were true; the last bin holds 1 too."""
    index_k = np.minimum((np.asarray(probs_k, dtype=np.float64) * bins).astype(int), bins - 1)
    counts, positives, mass = (
        np.bincount(index_k, weights, bins) for weights in (counts_k, positives_k, counts_k * probs_k)
    )
    there = counts > 0
    probs_b = np.divide(mass, counts, out=np.full(bins, np.nan), where=there)
    shares_b = np.divide(positives, counts, out=np.full(bins, np.nan), where=there)
    total = counts.sum()
    error = float((counts * np.abs(shares_b - probs_b))[there].sum() / total) if total else float("nan")
    return Reliability(counts.astype(np.int64), probs_b, shares_b, error)


def gate_confusion(mask_says_n: np.ndarray, gate_says_n: np.ndarray, truth_n: np.ndarray) -> np.ndarray:
    """(2, 2, 2) int64: images counted by [mask drawn without the gate][gate][truth], 0 no and 1 yes."""
    cells = 4 * mask_says_n.astype(int) + 2 * gate_says_n.astype(int) + truth_n.astype(int)
    return np.bincount(cells, minlength=8).reshape(2, 2, 2)


def certainty(
    levels_chw: np.ndarray, masks_chw: np.ndarray, rules: Rules, gate_probs_c: np.ndarray | None = None
) -> np.ndarray:
    """(C,) 0..1: the Dice that a model may expect of its own mask, if its probabilities are believed.

    With q the probability that the class is there (the map's highest, averaged with the gate's): 1 - q for an empty
    mask, else q times the soft Dice of mask and map. Pixels up to half the threshold count as background, or the faint
    haze of a large clean image would outweigh its defect. It ranks images for a person; it is no probability.
    """
    certainties = []
    for index, each in enumerate(rules.classes):
        there = float(levels_chw[index].max()) / 255
        if gate_probs_c is not None:
            there = (there + float(gate_probs_c[index])) / 2
        soft = _soft_dice(levels_chw[index], masks_chw[index], each.pixel_threshold / 2)
        certainties.append(1 - there if soft is None else there * soft)
    return np.array(certainties)


def _soft_dice(levels_hw: np.ndarray, mask_hw: np.ndarray, floor: float) -> float | None:
    """2 |mask x map| / (|mask| + |map|); None for an empty mask."""
    drawn = int(np.count_nonzero(mask_hw))
    if not drawn:
        return None
    believed = _believed_pixels(np.bincount(levels_hw.ravel(), minlength=NUM_LEVELS), floor)
    shared = _believed_pixels(np.bincount(levels_hw[mask_hw != 0], minlength=NUM_LEVELS), floor)
    return 2 * shared / (drawn + believed)


def _believed_pixels(counts_l: np.ndarray, floor: float) -> float:
    """Pixels weighted by their probability, those up to `floor` as 0."""
    believed_l = np.where(np.greater(LEVEL_PROBS, floor), LEVEL_PROBS, 0).astype(np.float64)
    return float(counts_l @ believed_l)


def rank_correlation(a_n: np.ndarray, b_n: np.ndarray) -> float:
    """Spearman's rank correlation, equal values sharing their mean rank; NaN where either does not vary."""
    a_ranks, b_ranks = rankdata(a_n), rankdata(b_n)
    if len(a_ranks) < 2 or np.ptp(a_ranks) == 0 or np.ptp(b_ranks) == 0:
        return float("nan")
    return float(np.corrcoef(a_ranks, b_ranks)[0, 1])
