"""What a report keeps of every image while they pass by, one at a time; knows no files and no HTML."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from sever.decide.evidence_curves import certainty, level_counts, threshold_dice
from sever.decide.gate import GateEffect, gate_effects
from sever.decide.levels import NUM_LEVELS, above
from sever.decide.metrics import PairCounts, ScoreSheet, pair_counts
from sever.decide.postprocess import draw_masks
from sever.decide.rules import Rules

THRESHOLDS_T = np.arange(1, 50) / 50  # 0.02 .. 0.98


@dataclass(frozen=True)
class ReportedImage:
    """One image as the report sees it: levels and masks (C, H, W) uint8, the gate's probabilities (C,) or None."""

    image_id: str
    levels_chw: np.ndarray
    masks_chw: np.ndarray
    true_chw: np.ndarray
    gate_probs_c: np.ndarray | None


@dataclass
class ReportCounts:
    """What is kept of every image: a few counts a class."""

    rules: Rules
    sheet: ScoreSheet = field(init=False)
    open_counts: list[PairCounts] = field(default_factory=list)  # of masks drawn without a smallest area
    bare_pixels: list[np.ndarray] = field(default_factory=list)  # (C,) of masks without smallest area and gate
    max_probs: list[np.ndarray] = field(default_factory=list)
    certainties: list[np.ndarray] = field(default_factory=list)
    gates: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        classes = self.rules.num_classes
        self.sheet = ScoreSheet(classes)
        self.level_sums = np.zeros((classes, 2, NUM_LEVELS), np.int64)
        self.threshold_sums = np.zeros((classes, 2, len(THRESHOLDS_T)))

    def add(self, seen: ReportedImage) -> None:
        self.sheet.add(seen.image_id, pair_counts(seen.masks_chw, seen.true_chw))
        self.max_probs.append(seen.levels_chw.max(axis=(1, 2)) / 255)
        self.certainties.append(certainty(seen.levels_chw, seen.masks_chw, self.rules, seen.gate_probs_c))
        open_chw = self._without_smallest_area(seen)
        self.open_counts.append(pair_counts(open_chw, seen.true_chw))
        if seen.gate_probs_c is not None:
            self.gates.append(seen.gate_probs_c)
            self.bare_pixels.append(np.count_nonzero(self._without_gate(seen, open_chw), axis=(1, 2)))
        for index, effect in enumerate(gate_effects(self.rules, seen.gate_probs_c)):
            self._add_thresholds(index, seen, effect)

    @property
    def gate_probs_nc(self) -> np.ndarray | None:
        return np.stack(self.gates) if self.gates else None

    def _without_smallest_area(self, seen: ReportedImage) -> np.ndarray:
        if not any(each.min_pixels for each in self.rules.classes):
            return seen.masks_chw
        return draw_masks(seen.levels_chw, self._open_rules(), seen.gate_probs_c)

    def _without_gate(self, seen: ReportedImage, open_chw: np.ndarray) -> np.ndarray:
        if self.rules.gate_kind in ("none", "soft"):  # the soft gate changes smallest areas, of which there are none
            return open_chw
        return draw_masks(seen.levels_chw, replace(self._open_rules(), gate_kind="none"))

    def _open_rules(self) -> Rules:
        return replace(self.rules, classes=tuple(replace(each, min_pixels=0) for each in self.rules.classes))

    def _add_thresholds(self, index: int, seen: ReportedImage, effect: GateEffect) -> None:
        counts_2l = level_counts(seen.levels_chw[index], seen.true_chw[index])
        self.level_sums[index] += counts_2l
        bare = threshold_dice(counts_2l, THRESHOLDS_T)
        # Probabilities times a scale are above a threshold where they themselves are above threshold / scale.
        scaled = THRESHOLDS_T / max(float(effect.scale), 1e-6)
        is_there = effect.is_open and self._above_label_threshold(index, seen, effect)
        ruled = threshold_dice(counts_2l, scaled, effect.min_pixels if is_there else math.inf)
        self.threshold_sums[index] += ruled, bare

    def _above_label_threshold(self, index: int, seen: ReportedImage, effect: GateEffect) -> bool:
        threshold = self.rules.classes[index].label_threshold
        return threshold is None or bool(above(seen.levels_chw[index], threshold, effect.scale).any())
