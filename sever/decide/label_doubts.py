"""Where a label and a network that has not seen it disagree, sorted by the mistake that would explain it; one image.

Every doubt is an edit of the label: draw a region (missing), delete one (extra), give it another class (swapped), or
move all of a class or one region (moved). An edit gains log-likelihood under the network's probabilities: the sum of
the log odds of the pixels that it changes. Ragged outlines and diffuse defects raise the loss, but are not explained by
any one edit; that is why a doubt counts for more the larger the share of the image's disagreement that it explains.
Knows no files and no names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from sever.config.mask_values import IGNORED
from sever.decide.components import Components
from sever.decide.levels import dequantise

MISSING, EXTRA, MOVED, SWAPPED = "missing", "extra", "moved", "swapped"
KINDS = (MISSING, EXTRA, MOVED, SWAPPED)
# A region that labels cover by less than this is not labelled at all; one that they cover by more lies elsewhere.
COVERED = 0.25
# Pixels by which a label may be moved.
REACH = 16
# What is no broader than twice this is an outline drawn differently, and no region; in pixels.
OUTLINE = 2
# Levels 0 and 255 are not certain: they stand for what rounds to them.
LEAST_PROB = 1 / 510
# Added to an average image's score, so that a speck does not stand out where there is nothing else of its kind.
LEAST_USUAL = 1.0


class Doubt(NamedTuple):
    """One edit that a label seems to need. `other`: the class that it should have (swapped), else None.

    `score`: log-likelihood gained, over the square root of the number of pixels that change, times the square root of
    the share of the image's disagreement that this explains. `box`: left, top, width and height in pixels.
    """

    kind: str
    class_index: int
    other: int | None
    score: float
    pixels: int
    box: tuple[int, int, int, int]


def find_doubts(levels_chw: np.ndarray, true_chw: np.ndarray) -> list[Doubt]:
    """All doubts about a label (C, H, W) of 0, 1 and IGNORED, by a map (C, H, W) of 8-bit levels; best first."""
    probs_chw = np.clip(dequantise(levels_chw), LEAST_PROB, 1 - LEAST_PROB)
    odds_chw = np.log(probs_chw / (1 - probs_chw))
    odds_chw[true_chw == IGNORED] = 0
    views = _Views(odds_chw, np.asarray(true_chw == 1), np.asarray(odds_chw > 0))
    found = [*_missing(views), *_extra(views), *_swapped(views), *_moved(views)]
    return sorted(found, key=lambda doubt: -doubt.score)


def worst_of_each_kind(doubts: Iterable[Doubt]) -> list[Doubt]:
    """At most one doubt of each kind, in the order of KINDS: a person who opens the image sees the others, too."""
    worst: dict[str, Doubt] = {}
    for doubt in doubts:
        if doubt.kind not in worst or doubt.score > worst[doubt.kind].score:
            worst[doubt.kind] = doubt
    return [worst[kind] for kind in KINDS if kind in worst]


def compared(doubts_n: Sequence[Sequence[Doubt]]) -> list[list[Doubt]]:
    """The doubts of N images with scores that kinds share: how many times as high as an average image's of the kind.

    A network that draws outlines badly raises a little doubt about all of them, and so none that stands out.
    """
    sums = dict.fromkeys(KINDS, 0.0)
    for doubts in doubts_n:
        for worst in worst_of_each_kind(doubts):
            sums[worst.kind] += worst.score
    usual = {kind: total / max(len(doubts_n), 1) + LEAST_USUAL for kind, total in sums.items()}
    return [[doubt._replace(score=doubt.score / usual[doubt.kind]) for doubt in doubts] for doubts in doubts_n]


@dataclass(frozen=True)
class _Views:
    """One image: log odds (C, H, W) of each class, what is labelled, and what the network draws (bool)."""

    odds_chw: np.ndarray
    labels_chw: np.ndarray
    drawn_chw: np.ndarray

    @property
    def disagreement(self) -> float:
        """Log-likelihood that the network's own masks would gain over the label."""
        return float(np.maximum(np.where(self.labels_chw, -self.odds_chw, self.odds_chw), 0).sum())

    def doubt(
        self, kind: str, index: int, other: int | None, gains_n: np.ndarray, region_hw: np.ndarray
    ) -> Iterator[Doubt]:
        """Of an edit that changes N pixels with these gains, and is seen in `region_hw`; none without a gain."""
        gain = float(gains_n.sum())
        if gain > 0:
            left, top, width, height = cv2.boundingRect(region_hw.astype(np.uint8))
            share = min(1.0, gain / self.disagreement)
            score = gain / len(gains_n) ** 0.5 * share**0.5
            yield Doubt(kind, index, other, score, len(gains_n), (left, top, width, height))


def _missing(views: _Views) -> Iterator[Doubt]:
    """Regions that the network draws where hardly anything is labelled."""
    labelled_hw = np.asarray(views.labels_chw.any(axis=0))
    for index, drawn_hw in enumerate(views.drawn_chw):
        for region_hw in _regions(drawn_hw):
            if labelled_hw[region_hw].mean() < COVERED:
                yield from views.doubt(MISSING, index, None, views.odds_chw[index][region_hw & ~labelled_hw], region_hw)


def _extra(views: _Views) -> Iterator[Doubt]:
    """Parts of the label, broader than an outline, where the network draws nothing."""
    drawn_hw = views.drawn_chw.any(axis=0)
    for index, labels_hw in enumerate(views.labels_chw):
        for region_hw in _regions(_without_outlines(labels_hw & ~drawn_hw)):
            yield from views.doubt(EXTRA, index, None, -views.odds_chw[index][region_hw], region_hw)


def _swapped(views: _Views) -> Iterator[Doubt]:
    """Parts of the label, broader than an outline, where the network draws another class and not this one."""
    for index, labels_hw in enumerate(views.labels_chw):
        for other, drawn_hw in enumerate(views.drawn_chw):
            if other == index:
                continue
            differs_hw = labels_hw & drawn_hw & ~views.drawn_chw[index] & ~views.labels_chw[other]
            for region_hw in _regions(_without_outlines(differs_hw)):
                gains_n = (views.odds_chw[other] - views.odds_chw[index])[region_hw]
                yield from views.doubt(SWAPPED, index, other, gains_n, region_hw)


def _moved(views: _Views) -> Iterator[Doubt]:
    """The best shift of all that is labelled of a class, and of each of its regions."""
    for index, labels_hw in enumerate(views.labels_chw):
        regions = list(_regions(labels_hw))
        for region_hw in [labels_hw, *regions] if len(regions) > 1 else regions:
            # Where the rest of the class lies there is nothing to be gained.
            odds_hw = np.where(labels_hw & ~region_hw, 0, views.odds_chw[index])
            yield from views.doubt(MOVED, index, None, _gains_of_best_shift(odds_hw, region_hw), region_hw)


def _gains_of_best_shift(odds_hw: np.ndarray, region_hw: np.ndarray) -> np.ndarray:
    """(N,) gains of the pixels that change where the region is moved, by up to REACH, to where it fits best."""
    odds_hw, before_hw = (_with_margin(each_hw.astype(np.float32)) for each_hw in (odds_hw, region_hw))
    left, top, width, height = cv2.boundingRect(region_hw.astype(np.uint8))
    part_hw = region_hw[top : top + height, left : left + width].astype(np.float32)
    near_hw = odds_hw[top : top + height + 2 * REACH, left : left + width + 2 * REACH]
    gains = cv2.matchTemplate(near_hw, part_hw, cv2.TM_CCORR)
    down, right = (int(place) for place in np.unravel_index(int(gains.argmax()), gains.shape))
    after_hw = np.zeros_like(before_hw)
    after_hw[top + down : top + down + height, left + right : left + right + width] = part_hw
    changes_hw = after_hw - before_hw
    return (changes_hw * odds_hw)[changes_hw != 0]


def _with_margin(image_hw: np.ndarray) -> np.ndarray:
    return cv2.copyMakeBorder(image_hw, *(REACH,) * 4, cv2.BORDER_CONSTANT, value=0)


def _without_outlines(mask_hw: np.ndarray) -> np.ndarray:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * OUTLINE + 1, 2 * OUTLINE + 1))
    return cv2.morphologyEx(mask_hw.astype(np.uint8), cv2.MORPH_OPEN, kernel)


def _regions(mask_hw: np.ndarray) -> Iterator[np.ndarray]:
    """The pixels (H, W) bool of every connected region."""
    parts = Components(np.ascontiguousarray(mask_hw, np.uint8))
    for number in range(1, len(parts.sizes)):
        yield parts.labels_hw == number
