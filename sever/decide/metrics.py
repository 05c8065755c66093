"""Scores of masks: the competition's Dice, IoU and defect-or-not; knows no probabilities, rules or files.

A pair is one class in one image. An image is reduced to a few pixel counts as soon as it is seen, so that a
score over any number of images needs memory for those counts only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sever.config.mask_values import IGNORED


@dataclass(frozen=True)
class PairCounts:
    """Pixel counts of one image, each (C + 1,) int64: the classes, then the background (pixels of none)."""

    intersection: np.ndarray
    predicted: np.ndarray
    true: np.ndarray


@dataclass(frozen=True)
class Confusion:
    """How often a defect was called (positive) and was there (true), in images."""

    tp: int
    fp: int
    fn: int
    tn: int


@dataclass(frozen=True)
class ImageScore:
    """One image's mean Dice over its C pairs, and whether it truly shows any defect."""

    image_id: str
    dice: float
    has_defect: bool


def pair_counts(pred_chw: np.ndarray, true_chw: np.ndarray) -> PairCounts:
    """Count the pixels of predicted and true masks, both (C, H, W); any value but 0 belongs to the mask.

    True pixels that are IGNORED count nowhere, whatever is predicted there.
    """
    assert pred_chw.shape == true_chw.shape, f"masks differ in shape: {pred_chw.shape} and {true_chw.shape}"
    if (ignored_chw := true_chw == IGNORED).any():
        judged_hw = ~ignored_chw.any(axis=0)
        pred_chw, true_chw = pred_chw[:, judged_hw], true_chw[:, judged_hw]
    pred, true = _with_background(pred_chw), _with_background(true_chw)
    return PairCounts(_count([p & t for p, t in zip(pred, true, strict=True)]), _count(pred), _count(true))


def judged(masks_chw: np.ndarray) -> np.ndarray:
    """True masks as 0 and 1 for a picture: what is IGNORED is not a defect there."""
    return np.where(masks_chw == IGNORED, 0, masks_chw)


def dice_pairs(counts: PairCounts) -> np.ndarray:
    """(C,) Dice of each class as the competition has it: 2 |A and B| / (|A| + |B|), 1 if both are empty."""
    return _dice(counts.intersection[:-1], counts.predicted[:-1], counts.true[:-1])


@dataclass
class ScoreSheet:
    """Scores over the images added so far. A score without anything to average is NaN."""

    num_classes: int
    image_ids: list[str] = field(default_factory=list)
    counts: list[PairCounts] = field(default_factory=list)

    def add(self, image_id: str, counts: PairCounts) -> None:
        assert len(counts.true) == self.num_classes + 1, f"{len(counts.true) - 1} classes, not {self.num_classes}"
        self.image_ids.append(image_id)
        self.counts.append(counts)

    @property
    def num_images(self) -> int:
        return len(self.image_ids)

    def dice(self) -> np.ndarray:
        """(N, C) Dice of every pair."""
        return _dice(self._intersection[:, :-1], self._predicted[:, :-1], self._true[:, :-1])

    def mean_dice(self) -> float:
        """The competition's score: mean over all pairs."""
        return _mean(self.dice())

    def dice_per_class(self) -> np.ndarray:
        """(C,) mean Dice of each class over all images."""
        return _column_means(self.dice(), np.ones((self.num_images, self.num_classes), dtype=bool))

    def dice_positive(self) -> float:
        """Mean Dice over the pairs that truly hold a defect, all classes pooled."""
        return _mean(self.dice()[self.is_positive()])

    def dice_positive_per_class(self) -> np.ndarray:
        """(C,) mean Dice of each class over the images that truly show it."""
        return _column_means(self.dice(), self.is_positive())

    def is_positive(self) -> np.ndarray:
        """(N, C) bool: pairs that truly hold a defect."""
        return np.asarray(self._true[:, :-1] > 0)

    def empty_baseline(self) -> float:
        """Mean Dice of predicting nothing at all: the share of pairs that are truly empty."""
        return _mean(~self.is_positive())

    def iou(self) -> np.ndarray:
        """(C + 1,) IoU of each class and, last, of the background, over the pixels of all images together.

        The intersections of all images are summed, and so are the unions; then one is divided by the other.
        The background is every pixel without any class. A class neither true nor predicted anywhere is NaN.
        """
        intersection = self._intersection.sum(axis=0)
        union = self._predicted.sum(axis=0) + self._true.sum(axis=0) - intersection
        return np.where(union > 0, intersection / np.maximum(union, 1), math.nan)

    def mean_iou(self, background: bool = False) -> float:
        """Mean of `iou` over the classes (and the background) that occur."""
        iou = self.iou() if background else self.iou()[:-1]
        return _mean(iou[~np.isnan(iou)])

    def confusion_per_class(self) -> list[Confusion]:
        """Is this class in the image? One confusion a class."""
        predicted, true = self._is_called(), self.is_positive()
        return [count_confusion(predicted[:, index], true[:, index]) for index in range(self.num_classes)]

    def confusion(self) -> Confusion:
        """Is there a defect of any class in the image?"""
        return count_confusion(
            *(np.logical_or.reduce(found, axis=1) for found in (self._is_called(), self.is_positive()))
        )

    def image_scores(self) -> list[ImageScore]:
        """One row an image, in the order of adding."""
        rows = zip(self.image_ids, self.dice(), self.is_positive(), strict=True)
        return [ImageScore(image_id, _mean(dice), bool(positive.any())) for image_id, dice, positive in rows]

    def as_dict(self) -> dict[str, Any]:
        """All scores, ready for JSON: NaN becomes None. Those that `train.monitor` knows have its names."""
        iou = self.iou()
        return {
            "images": self.num_images,
            "dice": plain(self.mean_dice()),
            "dice_all_empty": plain(self.empty_baseline()),
            "dice_per_class": plain_list(self.dice_per_class()),
            "dice_positive": plain(self.dice_positive()),
            "dice_positive_per_class": plain_list(self.dice_positive_per_class()),
            "positive_images_per_class": [int(count) for count in self.is_positive().sum(axis=0)],
            "mean_iou": plain(self.mean_iou()),
            "mean_iou_with_background": plain(self.mean_iou(background=True)),
            "iou_per_class": plain_list(iou[:-1]),
            "iou_background": plain(iou[-1]),
            "has_defect": vars(self.confusion()).copy(),
            "has_defect_per_class": [vars(confusion).copy() for confusion in self.confusion_per_class()],
        }

    def _is_called(self) -> np.ndarray:
        return np.asarray(self._predicted[:, :-1] > 0)

    @property
    def _intersection(self) -> np.ndarray:
        return self._stack([counts.intersection for counts in self.counts])

    @property
    def _predicted(self) -> np.ndarray:
        return self._stack([counts.predicted for counts in self.counts])

    @property
    def _true(self) -> np.ndarray:
        return self._stack([counts.true for counts in self.counts])

    def _stack(self, rows: list[np.ndarray]) -> np.ndarray:
        return np.array(rows, dtype=np.int64).reshape(len(rows), self.num_classes + 1)


def _with_background(masks_chw: np.ndarray) -> list[np.ndarray]:
    masks = [mask_hw != 0 for mask_hw in masks_chw]
    return [*masks, ~np.logical_or.reduce(masks)]


def _count(masks: list[np.ndarray]) -> np.ndarray:
    # Without an axis, count_nonzero on bool is many times faster than a sum over the stack.
    return np.array([np.count_nonzero(mask) for mask in masks], dtype=np.int64)


def _dice(intersection: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    total = predicted + true
    return np.where(total > 0, 2 * intersection / np.maximum(total, 1), 1.0)


def count_confusion(predicted: np.ndarray, true: np.ndarray) -> Confusion:
    """Count over images, both (N,) bool."""
    return Confusion(
        tp=int(np.count_nonzero(predicted & true)),
        fp=int(np.count_nonzero(predicted & ~true)),
        fn=int(np.count_nonzero(~predicted & true)),
        tn=int(np.count_nonzero(~predicted & ~true)),
    )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else math.nan


def _column_means(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    columns = zip(values.T, chosen.T, strict=True)
    return np.array([_mean(column[rows]) for column, rows in columns], dtype=np.float64)


def plain(value: float) -> float | None:
    """Ready for JSON: NaN becomes None."""
    return None if math.isnan(value) else float(value)


def plain_list(values: np.ndarray) -> list[float | None]:
    return [plain(value) for value in values]
