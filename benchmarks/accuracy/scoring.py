"""The scores of a contender, from label maps alone and by the same code for all; knows no network and no file.

A label map is (H, W): 0 background, k the k-th class, as in the data sets.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sever.decide.metrics import ScoreSheet, pair_counts

# Columns of the table, in its order.
SCORES = ("mean_iou", "mean_iou_background", "dice", "dice_present", "iou_per_class")


@dataclass
class Scorer:
    """Add every test image once; IoU is of pixels pooled over all images, Dice a mean over (image, class) pairs."""

    num_classes: int
    sheet: ScoreSheet = field(init=False)

    def __post_init__(self) -> None:
        self.sheet = ScoreSheet(self.num_classes)

    def add(self, name: str, predicted_hw: np.ndarray, true_hw: np.ndarray) -> None:
        assert predicted_hw.shape == true_hw.shape, (name, predicted_hw.shape, true_hw.shape)
        masks = (to_masks(labels_hw, self.num_classes) for labels_hw in (predicted_hw, true_hw))
        self.sheet.add(name, pair_counts(*masks))

    def scores(self) -> dict[str, object]:
        """By the names of SCORES, in per cent but for Dice."""
        per_class = " ".join(f"{100 * iou:.1f}" for iou in self.sheet.iou()[:-1])
        return {
            "mean_iou": f"{100 * self.sheet.mean_iou():.2f}",
            "mean_iou_background": f"{100 * self.sheet.mean_iou(background=True):.2f}",
            "dice": f"{self.sheet.mean_dice():.4f}",
            "dice_present": f"{self.sheet.dice_positive():.4f}",
            "iou_per_class": per_class,
        }


def to_masks(labels_hw: np.ndarray, num_classes: int) -> np.ndarray:
    """(C, H, W) bool of one label map."""
    assert labels_hw.max(initial=0) <= num_classes, f"label {labels_hw.max()} of {num_classes} classes"
    return labels_hw[None] == np.arange(1, num_classes + 1)[:, None, None]


def to_labels(masks_chw: np.ndarray) -> np.ndarray:
    """(H, W) uint8 of masks (C, H, W); where several overlap, the first class."""
    return np.where(masks_chw.any(axis=0), masks_chw.astype(bool).argmax(axis=0) + 1, 0).astype(np.uint8)
