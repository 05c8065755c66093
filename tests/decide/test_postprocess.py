"""Rules against hand-drawn maps, and against a second implementation that decides pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sever.config import RuleSettings
from sever.decide.postprocess import OVERLAPS, dequantise, draw_masks, quantise, resolve_min_pixels
from sever.errors import InputError

MIN_PIXELS_TABLE = [
    # given, classes, severstal layout, resolved
    (None, 4, True, (600, 600, 1000, 2000)),  # the 2019 areas
    (None, 4, False, (0, 0, 0, 0)),  # four classes of something else
    (None, 3, True, (0, 0, 0)),  # the layout, but other classes
    (25, 3, True, (25, 25, 25)),
    ((1, 2), 2, False, (1, 2)),
    ((0, 0, 0, 0), 4, True, (0, 0, 0, 0)),  # zeros said out loud are not a default
]


@pytest.mark.parametrize(("given_areas", "num_classes", "severstal", "expected"), MIN_PIXELS_TABLE)
def test_min_pixels(
    given_areas: int | tuple[int, ...] | None, num_classes: int, severstal: bool, expected: tuple[int, ...]
) -> None:
    assert resolve_min_pixels(RuleSettings(min_pixels=given_areas), num_classes, severstal) == expected


def test_wrong_number_of_min_pixels() -> None:
    with pytest.raises(InputError, match=r"3 entries .* there are 2 classes"):
        resolve_min_pixels(RuleSettings(min_pixels=(1, 2, 3)), 2, False)


# Two classes on 1x6 pixels; the threshold is 0.5.
PROBS = np.array([[[0.5, 0.51, 0.9, 0.8, 0.6, 0.0]], [[0.1, 0.2, 0.7, 0.8, 0.9, 0.49]]], np.float32)


@pytest.mark.parametrize("as_levels", [False, True])
def test_overlaps_by_hand(as_levels: bool) -> None:
    probs_chw = quantise(PROBS) if as_levels else PROBS
    kept = draw_masks(probs_chw, RuleSettings(), (0, 0))
    # 0.5 itself is not above; 0.9 beats 0.7; the tie at 0.8 goes to the first class.
    assert kept.tolist() == [[[0, 1, 1, 1, 0, 0]], [[0, 0, 0, 0, 1, 0]]]
    assert kept.dtype == np.uint8
    both = draw_masks(probs_chw, RuleSettings(overlap="allow"), (0, 0))
    assert both.tolist() == [[[0, 1, 1, 1, 1, 0]], [[0, 0, 1, 1, 1, 0]]]


MIN_AREA_TABLE = [
    # smallest areas, what is left of each class in pixels (3 and 1 after overlap)
    ((3, 1), [3, 1]),  # exactly the smallest area stays
    ((4, 1), [0, 1]),  # the first class goes; the pixels it won from the second do not come back
    ((0, 2), [3, 0]),  # the second claimed 3 pixels, but its area counts after the overlap
]


@pytest.mark.parametrize(("min_pixels", "left"), MIN_AREA_TABLE)
def test_min_area_by_hand(min_pixels: tuple[int, ...], left: list[int]) -> None:
    assert draw_masks(PROBS, RuleSettings(), min_pixels).sum(axis=(1, 2)).tolist() == left


def test_input_is_left_alone() -> None:
    for probs_chw in (PROBS.copy(), quantise(PROBS)):
        before = probs_chw.copy()
        draw_masks(probs_chw, RuleSettings(), (9, 9))
        np.testing.assert_array_equal(probs_chw, before)


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_extreme_thresholds(threshold: float) -> None:
    levels = np.array([[[0, 1, 254, 255]]], np.uint8)
    expected = [[[0, 1, 1, 1]]] if threshold == 0 else [[[0, 0, 0, 0]]]
    rules = RuleSettings(pixel_threshold=threshold)
    assert draw_masks(levels, rules, (0,)).tolist() == expected
    assert draw_masks(dequantise(levels), rules, (0,)).tolist() == expected


def test_every_overlap_setting_has_its_function() -> None:
    assert set(OVERLAPS) == set(RuleSettings.model_json_schema()["properties"]["overlap"]["enum"])


def slow_masks(probs_chw: np.ndarray, rules: RuleSettings, min_pixels: tuple[int, ...]) -> np.ndarray:
    classes, height, width = probs_chw.shape
    masks = np.zeros(probs_chw.shape, np.uint8)
    for y in range(height):
        for x in range(width):
            claims = [c for c in range(classes) if probs_chw[c, y, x] > np.float32(rules.pixel_threshold)]
            if rules.overlap == "highest_probability" and claims:
                claims = [max(claims, key=lambda c: (probs_chw[c, y, x], -c))]
            for c in claims:
                masks[c, y, x] = 1
    for c in range(classes):
        if masks[c].sum() < min_pixels[c]:
            masks[c] = 0
    return masks


probability_maps = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5)),
    # Few different values, so that ties and values on the threshold are common.
    elements=st.one_of(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.floats(0, 1, width=32)),
)
rule_sets = st.builds(
    RuleSettings,
    pixel_threshold=st.one_of(st.sampled_from([0.25, 0.5, 51 / 255, 3 / 255]), st.floats(0, 1)),
    overlap=st.sampled_from(sorted(OVERLAPS)),
)


@settings(deadline=None)
@given(probability_maps, rule_sets, st.integers(0, 6))
def test_against_second_implementation(probs_chw: np.ndarray, rules: RuleSettings, area: int) -> None:
    min_pixels = tuple(area + index for index in range(len(probs_chw)))
    expected = slow_masks(probs_chw, rules, min_pixels)
    np.testing.assert_array_equal(draw_masks(probs_chw, rules, min_pixels), expected)


@settings(deadline=None)
@given(hnp.arrays(np.uint8, (3, 4, 5)), rule_sets)
def test_levels_and_their_probabilities_give_the_same_masks(levels: np.ndarray, rules: RuleSettings) -> None:
    from_levels = draw_masks(levels, rules, (2, 0, 3))
    np.testing.assert_array_equal(from_levels, draw_masks(dequantise(levels), rules, (2, 0, 3)))
    np.testing.assert_array_equal(from_levels, slow_masks(dequantise(levels), rules, (2, 0, 3)))


def test_levels_come_back_exactly() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    np.testing.assert_array_equal(quantise(dequantise(levels)), levels)


@settings(deadline=None)
@given(hnp.arrays(np.float32, (1, 3, 3), elements=st.floats(0, 1, width=32)))
def test_quantising_is_off_by_half_a_level_at_most(probs_chw: np.ndarray) -> None:
    error = np.abs(dequantise(quantise(probs_chw)).astype(np.float64) - probs_chw)
    assert error.max() <= 1 / 510 + 1e-7


@settings(deadline=None)
@given(hnp.arrays(np.float32, (1, 3, 3), elements=st.floats(0, 1, width=32)))
def test_quantising_never_moves_a_pixel_across_one_half(probs_chw: np.ndarray) -> None:
    np.testing.assert_array_equal(dequantise(quantise(probs_chw)) > 0.5, probs_chw > 0.5)
    just_above = np.nextafter(np.float32(0.5), np.float32(1))
    assert dequantise(quantise(np.full((1, 1, 1), just_above))).item() > 0.5
