"""Doubts about labels: scores of every kind by hand, a slow second search for shifts, and what must raise none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sever.config.mask_values import IGNORED
from sever.decide.label_doubts import LEAST_USUAL, REACH, Doubt, _gains_of_best_shift, compared, find_doubts

SURE, NOT = 230, 25  # levels of 255: the log odds are +-log(9.2)
ODDS = math.log(230 / 25)
SIDE = 48


def empty(classes: int = 2) -> np.ndarray:
    return np.zeros((classes, SIDE, SIDE), np.uint8)


def levels_of(masks_chw: np.ndarray) -> np.ndarray:
    """What a network says that is sure of these masks."""
    return np.where(masks_chw != 0, SURE, NOT).astype(np.uint8)


def square(index: int, top: int = 10, left: int = 12, side: int = 10) -> np.ndarray:
    masks_chw = empty()
    masks_chw[index, top : top + side, left : left + side] = 1
    return masks_chw


def test_who_agrees_raises_no_doubt() -> None:
    for masks_chw in (empty(), square(0), square(0) | square(1, top=30)):
        assert find_doubts(levels_of(masks_chw), masks_chw) == []


def test_a_missing_region() -> None:
    (doubt,) = find_doubts(levels_of(square(1)), empty())
    # 100 pixels gain log odds each, which is all there is to gain: 100 * ODDS / sqrt(100) * sqrt(1).
    assert doubt == Doubt("missing", 1, None, pytest.approx(10 * ODDS, rel=1e-5), 100, (12, 10, 10, 10))


def test_an_extra_region() -> None:
    (doubt,) = find_doubts(levels_of(empty()), square(0))[:1]
    assert (doubt.kind, doubt.class_index, doubt.box) == ("extra", 0, (12, 10, 10, 10))
    # Opened by a disc of radius 2 (a square of 5 without 2 pixels at each corner), the square loses as many.
    assert doubt.pixels == 100 - 4 * 2
    assert doubt.score == pytest.approx(92 * ODDS / math.sqrt(92) * math.sqrt(92 / 100), rel=1e-5)


def test_a_swapped_class() -> None:
    doubts = find_doubts(levels_of(square(1)), square(0))
    assert (doubts[0].kind, doubts[0].class_index, doubts[0].other) == ("swapped", 0, 1)
    # Each of 92 pixels loses one class and gains the other; all 100 pixels disagree in both.
    assert doubts[0].score == pytest.approx(92 * 2 * ODDS / math.sqrt(92) * math.sqrt(92 / 100), rel=1e-5)
    assert not {"missing", "extra"} & {doubt.kind for doubt in doubts}


def test_a_moved_label() -> None:
    doubts = find_doubts(levels_of(square(0, left=17)), square(0))
    assert doubts[0].kind == "moved"
    # Moved by 5 columns, 10 * 5 pixels leave and as many come; that explains everything.
    assert (doubts[0].pixels, doubts[0].box) == (100, (12, 10, 10, 10))
    assert doubts[0].score == pytest.approx(10 * ODDS, rel=1e-5)


def test_two_regions_that_moved_together_are_one_doubt_that_explains_all() -> None:
    true_chw = square(0) | square(0, top=30, left=5)
    doubts = find_doubts(levels_of(np.roll(true_chw, 6, axis=2)), true_chw)
    assert doubts[0].kind == "moved"
    assert doubts[0].pixels == 2 * 2 * 10 * 6
    assert doubts[0].box == (5, 10, 17, 30)


def test_a_single_region_that_moved_beside_one_that_did_not() -> None:
    true_chw = square(0) | square(0, top=30, left=5)
    doubts = find_doubts(levels_of(square(0, left=18) | square(0, top=30, left=5)), true_chw)
    assert doubts[0].kind == "moved"
    assert doubts[0].box == (12, 10, 10, 10)


def test_an_outline_drawn_two_pixels_wider_is_no_extra_region() -> None:
    wide = square(0, 8, 10, 14)
    assert find_doubts(levels_of(square(0)), wide) == []
    assert [doubt.kind for doubt in find_doubts(levels_of(wide), square(0))] == []


def test_ignored_pixels_raise_no_doubt() -> None:
    for drawn_chw, labels_chw in ((square(0), empty()), (empty(), square(0)), (square(1), square(0))):
        ignored_chw = labels_chw.copy()
        ignored_chw[:, 5:25, 5:30] = IGNORED
        assert find_doubts(levels_of(drawn_chw), labels_chw)
        assert find_doubts(levels_of(drawn_chw), ignored_chw) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 3)])
def test_tiny_images(shape: tuple[int, int]) -> None:
    full = np.ones((1, *shape), np.uint8)
    assert [doubt.kind for doubt in find_doubts(levels_of(full), np.zeros_like(full))] == ["missing"]
    assert find_doubts(levels_of(np.zeros_like(full)), full)[0].kind in ("extra", "moved")


@given(st.integers(0, 2**31 - 1))
def test_the_best_shift_is_that_of_a_slow_search(seed: int) -> None:
    rng = np.random.default_rng(seed)
    odds_hw = rng.normal(-1, 2, (9, 12)).astype(np.float32)
    region_hw = rng.random((9, 12)) < 0.3
    region_hw[4, 5] = True
    padded = np.pad(odds_hw, REACH)
    here = padded[REACH : REACH + 9, REACH : REACH + 12][region_hw].sum()
    gains = [
        padded[down : down + 9, right : right + 12][region_hw].sum() - here
        for down in range(2 * REACH + 1)
        for right in range(2 * REACH + 1)
    ]
    assert _gains_of_best_shift(odds_hw, region_hw).sum() == pytest.approx(max(gains), abs=1e-3)


def doubt(kind: str, score: float) -> Doubt:
    return Doubt(kind, 0, None, score, 1, (0, 0, 1, 1))


def test_scores_of_kinds_are_made_comparable() -> None:
    found = compared([[doubt("extra", 30), doubt("extra", 12), doubt("moved", 3)], [doubt("extra", 6)], []])
    # An average image: (30 + 6 + 0) / 3 extra, 3 / 3 moved.
    assert [each.score for each in found[0]] == [
        pytest.approx(30 / (12 + LEAST_USUAL)),
        pytest.approx(12 / (12 + LEAST_USUAL)),
        pytest.approx(3 / (1 + LEAST_USUAL)),
    ]
    assert found[2] == []
