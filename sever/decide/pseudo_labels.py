"""How sure a model is of each mask that it drew, and which images are sure enough to learn from; knows no files.

An image is kept only if every class of it is sure, also those that it doesn't show: a network that learns from it takes
the whole image for the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from sever.decide.metrics import dice_pairs, pair_counts
from sever.errors import InputError


@dataclass(frozen=True)
class Guess:
    """What is known of one image: the model's probabilities (C, H, W) float32 and masks (C, H, W) uint8, its gate's
    (C,) where it has one, and the masks of each member, where several networks answer as one."""

    probs_chw: np.ndarray
    masks_chw: np.ndarray
    gate_probs_c: np.ndarray | None = None
    members: Sequence[np.ndarray] = ()


def certainty_of_pixels(guess: Guess) -> np.ndarray:
    """(C,) mean probability inside the drawn mask; of an empty class, 1 minus its highest probability."""
    pairs = zip(guess.probs_chw, guess.masks_chw != 0, strict=True)
    return np.array([probs_hw[mask_hw].mean() if mask_hw.any() else 1 - probs_hw.max() for probs_hw, mask_hw in pairs])


def agreement_with_gate(guess: Guess) -> np.ndarray:
    """(C,) what the gate gives to the segmenter's answer: its probability of a class with a mask, 1 minus it without.

    Top teams of 2019 took the images where the two agree.
    """
    if guess.gate_probs_c is None:
        raise InputError(
            "--by gate needs an image classifier beside the segmenter: a model with label probabilities (a label head, "
            "or a blend with a classifier); or choose --by confidence"
        )
    shown_c = guess.masks_chw.any(axis=(1, 2))
    return np.where(shown_c, guess.gate_probs_c, 1 - guess.gate_probs_c)


def agreement_of_members(guess: Guess) -> np.ndarray:
    """(C,) mean Dice over all pairs of members' masks; two empty masks agree entirely."""
    if len(guess.members) < 2:
        raise InputError(
            "--by agreement needs several networks that draw masks: a blend or a cross-validation; or choose "
            "--by confidence"
        )
    pairs = [dice_pairs(pair_counts(first, second)) for first, second in combinations(guess.members, 2)]
    return np.mean(pairs, axis=0)


class Measure(NamedTuple):
    """How to be sure, and what is sure enough by default: of a class that is drawn, of one that is empty."""

    confidence: Callable[[Guess], np.ndarray]
    min_present: float
    min_empty: float


MEASURES: dict[str, Measure] = {
    "confidence": Measure(certainty_of_pixels, min_present=0.85, min_empty=0.7),
    "gate": Measure(agreement_with_gate, min_present=0.8, min_empty=0.8),
    "agreement": Measure(agreement_of_members, min_present=0.85, min_empty=1.0),
}


@dataclass(frozen=True)
class ImageVerdict:
    """One image judged: (C,) float64 confidence of each class in 0..1, whether each is drawn, and is sure enough."""

    confidence_c: np.ndarray
    shown_c: np.ndarray
    sure_c: np.ndarray

    @property
    def keep(self) -> bool:
        return bool(self.sure_c.all())

    @property
    def is_clean(self) -> bool:
        return not self.shown_c.any()

    @property
    def confidence(self) -> float:
        """That of the least certain class."""
        return float(self.confidence_c.min())


@dataclass(frozen=True)
class Sureness:
    """Which measure, and the least confidence (0..1) of a class that is drawn and of one that is empty.

    None takes the measure's own. Raises InputError for an unknown measure or a limit outside 0..1.
    """

    by: str = "confidence"
    min_present: float | None = None
    min_empty: float | None = None

    def __post_init__(self) -> None:
        if self.by not in MEASURES:
            raise InputError(f"unknown way to be sure {self.by!r}; allowed: {', '.join(MEASURES)}")
        for name, limit in (("--min-present", self.min_present), ("--min-empty", self.min_empty)):
            if limit is not None and not 0 <= limit <= 1:
                raise InputError(f"{name} is {limit:g}, but a confidence is in 0..1")

    @property
    def limits(self) -> tuple[float, float]:
        """Of a class that is drawn, and of one that is empty."""
        measure = MEASURES[self.by]
        return (
            measure.min_present if self.min_present is None else self.min_present,
            measure.min_empty if self.min_empty is None else self.min_empty,
        )

    def judge(self, guess: Guess) -> ImageVerdict:
        """Which classes of one image are sure. Raises InputError where the model can't tell by this measure."""
        confidence_c = np.asarray(MEASURES[self.by].confidence(guess), dtype=np.float64).clip(0, 1)
        shown_c = np.asarray(guess.masks_chw.any(axis=(1, 2)))
        return ImageVerdict(confidence_c, shown_c, confidence_c >= np.where(shown_c, *self.limits))
