"""All that the score of a rule depends on, as a few numbers an (image, class, pixel threshold); knows no search.

From this table a pixel threshold, label threshold, smallest area and gate are scored without touching a pixel again.
The classes are taken one by one: a pixel that several classes claim goes to the most probable of all classes,
whether or not that one's own threshold lets it. So the counts are exact where overlap is allowed and where all
classes share one pixel threshold, and close elsewhere; whoever decides by them draws the masks in the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sever.config.mask_values import IGNORED
from sever.decide.gate import gate_effects, soft_min_pixels
from sever.decide.levels import NUM_LEVELS, dequantise, scaled
from sever.decide.metrics import judged, pair_counts
from sever.decide.postprocess import draw_masks
from sever.decide.rules import ClassRules, Rules


@dataclass(frozen=True)
class RuleTableRow:
    """One image: pixels of each class at each threshold, (T, C), before any smallest area, label threshold or gate."""

    predicted_tc: np.ndarray
    common_tc: np.ndarray
    true_c: np.ndarray
    top_c: np.ndarray  # probability of the most probable pixel, float32


@dataclass(frozen=True)
class RuleTable:
    """The rows of N images; `gate_nc` is what the image classifier said, where there is one.

    `weights_n`: how much each image counts in a mean score, 1 on average; None: all alike.
    """

    thresholds: tuple[float, ...]
    predicted_tnc: np.ndarray
    common_tnc: np.ndarray
    true_nc: np.ndarray
    top_nc: np.ndarray
    gate_nc: np.ndarray | None = None
    weights_n: np.ndarray | None = None

    @staticmethod
    def of(
        rows: Sequence[RuleTableRow],
        thresholds: Sequence[float],
        gate_nc: np.ndarray | None = None,
        weights_n: np.ndarray | None = None,
    ) -> RuleTable:
        assert rows, "a table needs an image"
        return RuleTable(
            tuple(thresholds),
            np.stack([row.predicted_tc for row in rows], axis=1),
            np.stack([row.common_tc for row in rows], axis=1),
            np.stack([row.true_c for row in rows]),
            np.stack([row.top_c for row in rows]),
            gate_nc,
            weights_n,
        )

    @property
    def counts_n(self) -> np.ndarray:
        """(N,) how much each image counts."""
        return np.ones(self.num_images) if self.weights_n is None else self.weights_n

    @property
    def num_images(self) -> int:
        return len(self.true_nc)

    @property
    def num_classes(self) -> int:
        return self.true_nc.shape[1]

    def empty_dice(self, index: int) -> np.ndarray:
        """(N,) Dice of saying that class `index` is nowhere: 1 where that is true."""
        return np.where(self.true_nc[:, index] == 0, 1.0, 0.0)

    def drawn_dice(self, index: int, threshold: float) -> np.ndarray:
        """(N,) Dice of class `index` at this pixel threshold where nothing empties it."""
        at = self.thresholds.index(threshold)
        total = self.predicted_tnc[at, :, index].astype(np.int64) + self.true_nc[:, index]
        return np.where(total > 0, 2 * self.common_tnc[at, :, index] / np.maximum(total, 1), 1.0)

    def dice(self, rules: Rules) -> np.ndarray:
        """(N, C) Dice of every pair by these rules; their pixel thresholds have to be in the table."""
        columns = []
        for index, each in enumerate(rules.classes):
            drawn, empty = self.drawn_dice(index, each.pixel_threshold), self.empty_dice(index)
            columns.append(np.where(self.is_kept(index, each, rules), drawn, empty))
        return np.stack(columns, axis=1)

    def is_kept(self, index: int, each: ClassRules, rules: Rules) -> np.ndarray:
        """(N,) bool: where label threshold, smallest area and gate let class `index` stand."""
        pixels = self.predicted_tnc[self.thresholds.index(each.pixel_threshold), :, index]
        kept = pixels >= self.required_pixels(index, each.min_pixels, rules)
        if each.label_threshold is not None:
            kept &= self.top_nc[:, index] > np.float32(each.label_threshold)
        if rules.gate_kind == "veto" and self.gate_nc is not None:
            kept &= self.gate_nc[:, index] >= np.float32(each.gate_threshold)
        return np.asarray(kept)

    def required_pixels(self, index: int, min_pixels: int, rules: Rules) -> np.ndarray:
        """(N,) float64: the smallest area of class `index` in each image, which a soft gate makes larger."""
        if rules.gate_kind != "soft" or self.gate_nc is None:
            return np.full(self.num_images, float(min_pixels))
        return soft_min_pixels(min_pixels, self.gate_nc[:, index].astype(np.float64), rules.gate_factor)


def table_row(
    levels_chw: np.ndarray,
    true_chw: np.ndarray,
    rules: Rules,
    thresholds: Sequence[float],
    gate_probs_c: np.ndarray | None = None,
) -> RuleTableRow:
    """Reduce one image, levels (C, H, W) uint8 and true masks, to its row.

    What `rules` say of shapes (components, seeds, holes, dilation, overlap) holds at every threshold. Raises InputError
    where they ask for a gate and there are no `gate_probs_c`.
    """
    count = _counted if _looks_at_single_pixels(rules) else _drawn
    predicted_tc, common_tc = count(levels_chw, true_chw, rules, thresholds, gate_probs_c)
    highest_c = levels_chw.reshape(len(levels_chw), -1).max(axis=1)
    scales = [effect.scale for effect in gate_effects(rules, gate_probs_c)]
    top_c = np.array([scaled(top, scale) for top, scale in zip(highest_c, scales, strict=True)], dtype=np.float32)
    true_c = np.array([np.count_nonzero(judged(true_hw)) for true_hw in true_chw], dtype=np.int64)
    return RuleTableRow(predicted_tc.astype(np.int32), common_tc.astype(np.int32), true_c, top_c)


def _looks_at_single_pixels(rules: Rules) -> bool:
    shapes = any(
        each.seed_threshold is not None or each.erode_pixels or each.dilate_pixels or each.min_component_pixels
        for each in rules.classes
    )
    single = rules.overlap in ("allow", "highest_probability") and not rules.fill_holes
    return single and not shapes and rules.gate_kind != "multiply"


def _counted(
    levels_chw: np.ndarray,
    true_chw: np.ndarray,
    rules: Rules,
    thresholds: Sequence[float],
    gate_probs_c: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """All thresholds at once, from how often each level occurs: (T, C) predicted and common pixels."""
    above_tl = dequantise(np.arange(NUM_LEVELS, dtype=np.uint8)) > np.asarray(thresholds, np.float32)[:, None]
    lowest = np.flatnonzero(above_tl.any(axis=0))[:1]
    winner_hw = np.argmax(levels_chw, axis=0) if rules.overlap == "highest_probability" else None
    predicted, common = [], []
    for index, (levels_hw, true_hw) in enumerate(zip(levels_chw, true_chw, strict=True)):
        counts = np.zeros((2, NUM_LEVELS), dtype=np.int64)
        if lowest.size and levels_hw.max() >= lowest[0]:
            claimed_hw = (levels_hw >= lowest[0]) & (true_hw != IGNORED)
            if winner_hw is not None:
                claimed_hw &= winner_hw == index
            counts[0] = np.bincount(levels_hw[claimed_hw], minlength=NUM_LEVELS)
            counts[1] = np.bincount(levels_hw[claimed_hw & (true_hw != 0)], minlength=NUM_LEVELS)
        predicted.append(above_tl @ counts[0])
        common.append(above_tl @ counts[1])
    return np.stack(predicted, axis=1), np.stack(common, axis=1)


def _drawn(
    levels_chw: np.ndarray,
    true_chw: np.ndarray,
    rules: Rules,
    thresholds: Sequence[float],
    gate_probs_c: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Threshold by threshold, by the rules themselves without what empties a class: where shapes matter."""
    bare = rules if rules.gate_kind == "multiply" else replace(rules, gate_kind="none")
    predicted, common = [], []
    for threshold in thresholds:
        classes = tuple(
            replace(each, pixel_threshold=threshold, label_threshold=None, min_pixels=0) for each in rules.classes
        )
        counts = pair_counts(draw_masks(levels_chw, replace(bare, classes=classes), gate_probs_c), true_chw)
        predicted.append(counts.predicted[:-1])
        common.append(counts.intersection[:-1])
    return np.stack(predicted), np.stack(common)
