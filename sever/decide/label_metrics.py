"""Scores of image labels: does the image show this class? Knows no masks, networks or files.

A label probability of LABEL_THRESHOLD or more is a call. A score without anything to average is NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sever.decide.metrics import Confusion, count_confusion, plain, plain_list

LABEL_THRESHOLD = 0.5


def average_precision(scores_n: np.ndarray, truth_n: np.ndarray) -> float:
    """Area under the precision-recall curve as steps: the precision at each gain of recall, weighted by the gain.

    Images of equal scores are called together. NaN where no image is positive.
    """
    positives = np.count_nonzero(truth_n)
    if not positives:
        return math.nan
    order = np.argsort(-scores_n, kind="stable")
    is_last_of_its_score = np.append(np.diff(scores_n[order]) != 0, True)
    found = np.cumsum(truth_n[order])[is_last_of_its_score]
    called = np.flatnonzero(is_last_of_its_score) + 1
    return float(np.sum(np.diff(found, prepend=0) * found / called) / positives)


def roc_auc(scores_n: np.ndarray, truth_n: np.ndarray) -> float:
    """Share of (positive, negative) pairs of images in which the positive one scores higher; equal scores count half.

    NaN where all images are positive, or none is.
    """
    positive, negative = scores_n[truth_n], np.sort(scores_n[~truth_n])
    if not len(positive) or not len(negative):
        return math.nan
    below = np.searchsorted(negative, positive, side="left") + np.searchsorted(negative, positive, side="right")
    return float(below.sum() / 2 / (len(positive) * len(negative)))


def f1(confusion: Confusion) -> float:
    """Harmonic mean of precision and recall; NaN where the class is neither there nor called."""
    total = 2 * confusion.tp + confusion.fp + confusion.fn
    return 2 * confusion.tp / total if total else math.nan


@dataclass
class LabelSheet:
    """Scores over the images added so far."""

    num_classes: int
    image_ids: list[str] = field(default_factory=list)
    probs: list[np.ndarray] = field(default_factory=list)
    truths: list[np.ndarray] = field(default_factory=list)

    def add(self, image_id: str, label_probs_c: np.ndarray, truth_c: np.ndarray) -> None:
        """`truth_c`: (C,) bool, which classes the image shows."""
        assert len(label_probs_c) == len(truth_c) == self.num_classes
        self.image_ids.append(image_id)
        self.probs.append(np.asarray(label_probs_c, dtype=np.float64))
        self.truths.append(np.asarray(truth_c, dtype=bool))

    @property
    def probs_nc(self) -> np.ndarray:
        return np.array(self.probs, dtype=np.float64).reshape(len(self.probs), self.num_classes)

    @property
    def truth_nc(self) -> np.ndarray:
        return np.array(self.truths, dtype=bool).reshape(len(self.truths), self.num_classes)

    def average_precision_per_class(self) -> np.ndarray:
        """(C,) average precision."""
        return np.array([average_precision(*column) for column in zip(self.probs_nc.T, self.truth_nc.T, strict=True)])

    def auc_per_class(self) -> np.ndarray:
        """(C,) area under the ROC curve."""
        return np.array([roc_auc(*column) for column in zip(self.probs_nc.T, self.truth_nc.T, strict=True)])

    def f1_per_class(self) -> np.ndarray:
        """(C,) F1 of the calls."""
        return np.array([f1(confusion) for confusion in self.confusion_per_class()])

    def confusion_per_class(self) -> list[Confusion]:
        called_nc = self.probs_nc >= LABEL_THRESHOLD
        return [count_confusion(*column) for column in zip(called_nc.T, self.truth_nc.T, strict=True)]

    def confusion(self) -> Confusion:
        """Is there a defect of any class in the image?"""
        called_nc = self.probs_nc >= LABEL_THRESHOLD
        return count_confusion(*(np.logical_or.reduce(labels_nc, axis=1) for labels_nc in (called_nc, self.truth_nc)))

    def defect_accuracy(self) -> float:
        """Share of the images of which it is rightly said whether they show any defect."""
        confusion = self.confusion()
        return (confusion.tp + confusion.tn) / len(self.probs) if self.probs else math.nan

    def scores(self) -> dict[str, float]:
        """The means over classes; those that `train.monitor` knows have its names."""
        return {
            "label_ap": mean_of_known(self.average_precision_per_class()),
            "label_auc": mean_of_known(self.auc_per_class()),
            "label_f1": mean_of_known(self.f1_per_class()),
            "defect_accuracy": self.defect_accuracy(),
        }

    def as_dict(self) -> dict[str, Any]:
        """All scores, ready for JSON: NaN becomes None."""
        return {
            "images": len(self.image_ids),
            **{name: plain(value) for name, value in self.scores().items()},
            "label_ap_per_class": plain_list(self.average_precision_per_class()),
            "label_auc_per_class": plain_list(self.auc_per_class()),
            "label_f1_per_class": plain_list(self.f1_per_class()),
            "positive_images_per_class": [int(count) for count in self.truth_nc.sum(axis=0)],
            "has_defect": vars(self.confusion()).copy(),
            "has_defect_per_class": [vars(confusion).copy() for confusion in self.confusion_per_class()],
        }


def mean_of_known(values: np.ndarray) -> float:
    """Mean of what is not NaN, NaN where all is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan
