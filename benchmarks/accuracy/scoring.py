"""The scores of a contender, from label maps alone and by the same code for all; knows no network and no file.

A label map is (H, W): 0 background, k the k-th class, as in the data sets.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from sever.decide.label_metrics import average_precision
from sever.decide.metrics import ScoreSheet, pair_counts

# Columns of the table, in its order.
SCORES = ("mean_iou", "mean_iou_background", "dice", "dice_present", "iou_per_class", "ap_any", "ap_per_class")


@dataclass
class Scorer:
    """Add every test image once; IoU is of pixels pooled over all images, Dice a mean over (image, class) pairs.

    Average precision is of whole images, ranked by the area that was found: of one class, or of all together.
    """

    num_classes: int
    sheet: ScoreSheet = field(init=False)
    areas: list[np.ndarray] = field(default_factory=list)
    shown: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sheet = ScoreSheet(self.num_classes)

    def add(self, name: str, predicted_hw: np.ndarray, true_hw: np.ndarray) -> None:
        """An image whose every pixel is known."""
        assert predicted_hw.shape == true_hw.shape, (name, predicted_hw.shape, true_hw.shape)
        predicted, true = (to_masks(labels_hw, self.num_classes) for labels_hw in (predicted_hw, true_hw))
        self.sheet.add(name, pair_counts(predicted, true))
        self._add_areas(predicted, np.asarray(true.any(axis=(1, 2))))

    def add_shown(self, predicted_hw: np.ndarray, classes: Collection[int]) -> None:
        """An image of which only the classes (1..C) that it shows are known."""
        shown = np.isin(np.arange(1, self.num_classes + 1), list(classes))
        self._add_areas(to_masks(predicted_hw, self.num_classes), shown)

    def scores(self) -> dict[str, str]:
        """By the names of SCORES, IoU in per cent; empty where there is nothing to score."""
        areas, shown = np.array(self.areas), np.array(self.shown)
        per_class = [average_precision(areas[:, index], shown[:, index]) for index in range(self.num_classes)]
        return {
            "mean_iou": _text(100 * self.sheet.mean_iou(), 2),
            "mean_iou_background": _text(100 * self.sheet.mean_iou(background=True), 2),
            "dice": _text(self.sheet.mean_dice(), 4),
            "dice_present": _text(self.sheet.dice_positive(), 4),
            "iou_per_class": " ".join(_text(100 * iou, 1) or "-" for iou in self.sheet.iou()[:-1]),
            "ap_any": _text(average_precision(areas.sum(axis=1), np.asarray(shown.any(axis=1))), 3),
            "ap_per_class": " ".join(_text(value, 3) or "-" for value in per_class),
        }

    def _add_areas(self, predicted_chw: np.ndarray, shown_c: np.ndarray) -> None:
        self.areas.append(np.count_nonzero(predicted_chw, axis=(1, 2)))
        self.shown.append(shown_c)


def _text(value: float, digits: int) -> str:
    return "" if np.isnan(value) else f"{value:.{digits}f}"


def to_masks(labels_hw: np.ndarray, num_classes: int) -> np.ndarray:
    """(C, H, W) bool of one label map."""
    assert labels_hw.max(initial=0) <= num_classes, f"label {labels_hw.max()} of {num_classes} classes"
    return labels_hw[None] == np.arange(1, num_classes + 1)[:, None, None]


def to_labels(masks_chw: np.ndarray) -> np.ndarray:
    """(H, W) uint8 of masks (C, H, W); where several overlap, the first class."""
    return np.where(masks_chw.any(axis=0), masks_chw.astype(bool).argmax(axis=0) + 1, 0).astype(np.uint8)
