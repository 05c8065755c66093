"""Outlines to pixels and back, and other tools' run lengths: by hand, and by random masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sever.data.formats.counts import counts_of_letters, counts_of_mask, letters_of_counts, mask_of_counts
from sever.data.formats.geometry import as_points, fill_box, fill_ellipse, fill_polygon, turn_about
from sever.data.formats.outlines import polygons
from sever.errors import InputError

masks = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 1))


def test_a_box_has_the_pixels_between_its_edges() -> None:
    mask_hw = fill_box((2, 3, 5, 7), 8, 10)
    assert mask_hw.sum() == 12
    assert np.argwhere(mask_hw).min(axis=0).tolist() == [3, 2]
    assert np.argwhere(mask_hw).max(axis=0).tolist() == [6, 4]
    assert fill_box((1.4, 0, 2.6, 1), 8, 10)[0].tolist() == [0, 1, 1, *[0] * 7]  # centres 1.5 and 2.5
    assert fill_box((1.6, 0, 2.4, 1), 8, 10).sum() == 0
    assert fill_box((-5, -5, 2, 3), 8, 10).sum() == 6
    assert fill_box((-50, -50, 500, 500), 8, 10).sum() == 80


def test_a_triangle_by_hand() -> None:
    """Below the diagonal of 4 x 4: centres with x < y, and those on it belong to one side only."""
    lower = fill_polygon(np.array([[0, 0], [4, 4], [0, 4]], float), 4, 4)
    upper = fill_polygon(np.array([[0, 0], [4, 0], [4, 4]], float), 4, 4)
    assert (lower + upper).tolist() == np.ones((4, 4)).tolist()
    assert lower.sum() in (6, 10)


def test_edges_that_cross_cut_each_other_out() -> None:
    bow = np.array([[0, 0], [8, 8], [8, 0], [0, 8]], float)
    mask_hw = fill_polygon(bow, 8, 8)
    assert mask_hw[4, 1] == mask_hw[4, 6] == 1
    assert mask_hw[1, 4] == mask_hw[6, 4] == 0


def test_ellipses() -> None:
    assert fill_ellipse((5, 4), (2, 2), 8, 10).sum() == 12  # of the 4 x 4 centres the corners are 2.12 away
    turned = fill_ellipse((5, 4), (4, 1), 8, 10, degrees=90)
    assert turned.tolist() == fill_ellipse((5, 4), (1, 4), 8, 10).tolist()


def test_turning_is_clockwise_as_y_goes_down() -> None:
    assert turn_about(np.array([[1.0, 0.0]]), (0, 0), 90) == pytest.approx(np.array([[0.0, 1.0]]))


@pytest.mark.parametrize(
    "points",
    [[1, 2, 3, 4], [1, 2, 3, 4, 5], [[1, 2], [3, 4], [5]], "abc", [1e9] * 6, [float("nan")] * 6, None, [[[1]]]],
)
def test_points_that_are_none(points: object) -> None:
    with pytest.raises(InputError):
        as_points(points)


@given(masks)
@settings(max_examples=200, deadline=None)
def test_outlines_give_every_pixel_back(mask_hw: np.ndarray) -> None:
    back_hw = np.zeros_like(mask_hw)
    for ring in polygons(mask_hw):
        part_hw = fill_polygon(ring, *mask_hw.shape)
        assert not (part_hw & back_hw).any()
        back_hw |= part_hw
    assert back_hw.tolist() == mask_hw.tolist()


def test_a_hole_is_in_the_one_ring() -> None:
    mask_hw = np.ones((5, 6), np.uint8)
    mask_hw[1:4, 2:4] = 0
    (ring,) = polygons(mask_hw)
    # 4 corners, 4 of the hole, and the bridge there and back.
    assert len(ring) == 10
    assert fill_polygon(ring, 5, 6).tolist() == mask_hw.tolist()


def test_a_tolerance_makes_outlines_simpler_and_near() -> None:
    disc = fill_ellipse((50, 50), (40, 40), 100, 100)
    (exact,), (simple,) = polygons(disc), polygons(disc, tolerance=1.0)
    assert len(simple) < len(exact) / 4
    again = fill_polygon(simple, 100, 100)
    assert 0.95 < (again & disc).sum() / (again | disc).sum() < 1


@given(masks, st.booleans())
@settings(max_examples=100, deadline=None)
def test_counts_there_and_back(mask_hw: np.ndarray, by_column: bool) -> None:
    counts = counts_of_mask(mask_hw, by_column)
    assert mask_of_counts(counts, *mask_hw.shape, by_column).tolist() == mask_hw.tolist()


@given(st.lists(st.integers(0, 10**9), max_size=20))
def test_letters_there_and_back(counts: list[int]) -> None:
    assert counts_of_letters(letters_of_counts(counts)) == counts


def test_counts_by_hand() -> None:
    """Down the columns for COCO, along the rows for CVAT; off pixels come first."""
    mask_hw = np.array([[1, 0, 0], [1, 1, 0]])
    assert counts_of_mask(mask_hw) == [0, 2, 1, 1, 2]
    assert counts_of_mask(mask_hw, by_column=False) == [0, 1, 2, 2, 1]
    # Three letters by the definition: 5 bits each, the sign in bit 5, "more" in bit 6; from the third on a difference.
    assert letters_of_counts([0, 2, 1, 1, 2]) == "021O1"
    assert letters_of_counts([100]) == "T3"


@pytest.mark.parametrize("counts", [[1, 2], [-1, 7], [1.5, 4.5], [True, 5], ["6"]])
def test_bad_counts(counts: list[int]) -> None:
    with pytest.raises(InputError):
        mask_of_counts(counts, 2, 3)


@pytest.mark.parametrize("text", ["o", "~", " ", "oooooooooooooooooooo", "é"])
def test_bad_letters(text: str) -> None:
    with pytest.raises(InputError):
        counts_of_letters(text)
