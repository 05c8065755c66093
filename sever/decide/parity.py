"""Whether another runtime answers as the reference does: probabilities, masks and scores; knows no runtime.

Both answers go through the same full decision rules. A network that only labels images is compared in the same way: its
decision is a mask of one pixel a class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sever.decide.bootstrap import Interval, paired_interval
from sever.decide.label_metrics import LABEL_THRESHOLD
from sever.decide.metrics import dice_pairs, pair_counts
from sever.decide.prediction import Prediction

# Full precision: the largest difference of a probability, and how near two must be to count as a tie.
MOST_DIFFERENCE, TIE = 1e-3, 1e-4
# Lower precision: how far the score may be off; without labels, by how much the agreement at export may be missed.
MOST_SCORE, MOST_AGREEMENT = 0.002, 0.02

# From what networks say of an image to its decision, (C, H, W) uint8 of 0 and 1.
Decide = Callable[[Prediction], np.ndarray]


def decide_labels(prediction: Prediction) -> np.ndarray:
    """The decision of networks that draw no masks: (C, 1, 1) uint8, whether the image shows each class."""
    assert prediction.label_probs_c is not None, "neither maps nor labels"
    return (prediction.label_probs_c >= LABEL_THRESHOLD).astype(np.uint8)[:, None, None]


@dataclass
class Parity:
    """One backend's answers beside the reference's, added image by image."""

    decide: Decide
    largest: float = 0.0
    label_largest: float = 0.0
    images: int = 0
    rows: int = 0
    rows_changed: int = 0
    rows_tied: int = 0
    pixels: int = 0
    pixels_changed: int = 0
    _difference: float = 0.0
    _values: int = 0
    _agreements: list[np.ndarray] = field(default_factory=list)
    _scores: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def add(self, reference: Prediction, own: Prediction, true_chw: np.ndarray | None = None) -> None:
        """What both say of one image; `true_chw` (C, H, W), or (C, 1, 1) of labels, where it is known."""
        self._compare(reference, own)
        expected, found = self.decide(reference), self.decide(own)
        changed = (expected != found).any(axis=(1, 2))
        self.images += 1
        self.rows += len(changed)
        self.rows_changed += int(changed.sum())
        self.pixels += expected.size
        self.pixels_changed += int((expected != found).sum())
        if changed.any():
            real = (expected != self.decide(_without_ties(reference, own))).any(axis=(1, 2))
            self.rows_tied += int((changed & ~real).sum())
        self._agreements.append(dice_pairs(pair_counts(found, expected)))
        if true_chw is not None:
            self._scores.append((dice_pairs(pair_counts(found, true_chw)), dice_pairs(pair_counts(expected, true_chw))))

    @property
    def mean_difference(self) -> float:
        return self._difference / max(self._values, 1)

    @property
    def agreement(self) -> float:
        """Mean Dice of the backend's masks against the reference's."""
        return float(np.mean(self._agreements)) if self._agreements else 1.0

    @property
    def score_difference(self) -> Interval | None:
        """Backend less reference, mean Dice over pairs, with the interval of the paired differences."""
        if len(self._scores) < 2:
            return None
        own, expected = (np.stack(scores) for scores in zip(*self._scores, strict=True))
        return paired_interval(own, expected)

    def _compare(self, reference: Prediction, own: Prediction) -> None:
        if reference.probs_chw is not None and own.probs_chw is not None:
            difference = np.abs(reference.probs_chw - own.probs_chw)
            self.largest = float(np.maximum(self.largest, difference.max()))  # which NaN does not pass unseen
            self._difference += float(difference.sum(dtype=np.float64))
            self._values += difference.size
        if reference.label_probs_c is not None and own.label_probs_c is not None:
            difference = np.abs(reference.label_probs_c - own.label_probs_c)
            self.label_largest = float(np.maximum(self.label_largest, difference.max()))


def fault_of_full_precision(parity: Parity) -> str | None:
    """Why a backend of full precision is beyond its limit; None where it is within."""
    largest = float(np.maximum(parity.largest, parity.label_largest))
    if not largest <= MOST_DIFFERENCE:
        return f"a probability differs by {largest:.2g}, more than {MOST_DIFFERENCE:g}"
    real = parity.rows_changed - parity.rows_tied
    return f"{real} of {parity.rows} rows change by more than a tie ({TIE:g})" if real else None


def fault_of_low_precision(parity: Parity, agreement: float | None = None) -> str | None:
    """The same of bf16 and int8; without labels by the `agreement` that there was at export."""
    score = parity.score_difference
    if score is not None:
        return (
            f"the score differs by {score.mean:+.4f}, more than {MOST_SCORE:g}"
            if abs(score.mean) > MOST_SCORE
            else None
        )
    if agreement is not None and parity.agreement < agreement - MOST_AGREEMENT:
        return f"its masks agree with the reference's at a Dice of {parity.agreement:.4f}, at export {agreement:.4f}"
    return None


def _without_ties(reference: Prediction, own: Prediction) -> Prediction:
    """The own answer, where it is as good as equal the reference's."""
    maps, labels = (
        None if ours is None or theirs is None else np.where(np.abs(ours - theirs) <= TIE, theirs, ours)
        for ours, theirs in (
            (own.probs_chw, reference.probs_chw),
            (own.label_probs_c, reference.label_probs_c),
        )
    )
    return Prediction(maps, labels)
