from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sever.config import RuleSettings
from sever.decide.evidence_curves import (
    area_curve,
    area_grid,
    areas_above,
    certainty,
    gate_confusion,
    level_counts,
    rank_correlation,
    reliability,
    threshold_dice,
)
from sever.decide.metrics import dice_pairs, pair_counts
from sever.decide.postprocess import dequantise, draw_masks
from sever.decide.rules import resolve_rules

# Thresholds on and beside 8-bit levels, where "above" and "not below" differ.
EDGES = [0.0, 0.001, 1 / 255, 0.25, 0.5, 128 / 255, 0.7, 254 / 255, 1.0]


def _random_pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    levels_hw = generator.choice([0, 1, 64, 127, 128, 200, 254, 255], (9, 11)).astype(np.uint8)
    true_hw = (generator.random((9, 11)) < generator.choice([0, 0.3])).astype(np.uint8)
    return levels_hw, true_hw


@given(seed=st.integers(0, 10_000), smallest=st.sampled_from([0, 1, 20, 60, 1000]))
def test_threshold_dice_is_that_of_masks_drawn_one_threshold_at_a_time(seed: int, smallest: int) -> None:
    levels_hw, true_hw = _random_pair(seed)
    found = threshold_dice(level_counts(levels_hw, true_hw), np.array(EDGES), smallest)
    for threshold, dice in zip(EDGES, found, strict=True):
        rules = resolve_rules(RuleSettings(pixel_threshold=threshold, min_pixels=smallest), 1)
        masks_chw = draw_masks(levels_hw[None], rules)
        assert dice == pytest.approx(dice_pairs(pair_counts(masks_chw, true_hw[None]))[0])


def test_areas_above_count_strictly_above() -> None:
    counts_l = level_counts(np.array([[0, 127, 128, 255]], np.uint8), np.zeros((1, 4)))[0]
    assert areas_above(counts_l, np.array([0.0, 127 / 255, 0.5, 128 / 255, 1.0])).tolist() == [3, 2, 2, 1, 0]


@given(seed=st.integers(0, 10_000))
def test_area_curve_is_the_mean_over_images_taken_one_by_one(seed: int) -> None:
    generator = np.random.default_rng(seed)
    predicted_n = generator.integers(0, 12, 7)
    true_n = generator.integers(0, 12, 7)
    common_n = np.minimum(predicted_n, true_n) // 2
    smallest_mn = generator.integers(0, 14, (3, 7))
    for curve, smallest_n in zip(area_curve(predicted_n, common_n, true_n, smallest_mn), smallest_mn, strict=True):
        scores = []
        for predicted, common, true, smallest in zip(predicted_n, common_n, true_n, smallest_n, strict=True):
            if predicted < smallest:
                predicted = common = 0
            scores.append(1.0 if predicted + true == 0 else 2 * common / (predicted + true))
        assert curve == pytest.approx(np.mean(scores))


def test_area_curve_by_hand() -> None:
    """A good mask of 10 pixels and a false alarm of 4: up to 4 both stay, up to 10 only the good one, then neither."""
    curve = area_curve(
        np.array([10, 4]), np.array([10, 0]), np.array([10, 0]), np.broadcast_to([[0], [4], [5], [10], [11]], (5, 2))
    )
    assert curve.tolist() == [0.5, 0.5, 1.0, 1.0, 0.5]


def test_area_grid_holds_zero_the_chosen_area_and_the_largest_mask() -> None:
    grid_m = area_grid(5000.0, 600)
    assert {0, 600, 5000} <= set(grid_m.tolist())
    assert (np.diff(grid_m) > 0).all()
    assert area_grid(0.0, 0).max() >= 1  # no mask at all still has an axis


def test_reliability_by_hand() -> None:
    """Four cases at 0.1, one true (error 0.15); six at 0.9, three true (error 0.4): (4 * 0.15 + 6 * 0.4) / 10."""
    found = reliability(np.array([0.1, 0.9]), np.array([4, 6]), np.array([1, 3]), bins=2)
    assert found.counts_b.tolist() == [4, 6]
    np.testing.assert_allclose(found.mean_probs_b, [0.1, 0.9])
    np.testing.assert_allclose(found.shares_b, [0.25, 0.5])
    assert found.error == pytest.approx(0.3)


def test_reliability_counts_a_probability_of_1_and_leaves_empty_bins_open() -> None:
    found = reliability(np.array([1.0]), np.array([2]), np.array([2]))
    assert found.counts_b.tolist() == [0] * 9 + [2]
    assert np.isnan(found.shares_b[:9]).all()
    assert found.error == 0
    assert np.isnan(reliability(np.zeros(1), np.zeros(1), np.zeros(1)).error)


@given(seed=st.integers(0, 10_000))
def test_reliability_of_levels_is_that_of_pixels_one_by_one(seed: int) -> None:
    levels_hw, true_hw = _random_pair(seed)
    everywhere, inside = level_counts(levels_hw, true_hw)
    by_level = reliability(dequantise(np.arange(256, dtype=np.uint8)), everywhere, inside)
    pixels = dequantise(levels_hw).ravel()
    one_by_one = reliability(pixels, np.ones(pixels.size), true_hw.ravel().astype(float))
    np.testing.assert_allclose(by_level.shares_b, one_by_one.shares_b)
    assert by_level.error == pytest.approx(one_by_one.error)


def test_gate_confusion_counts_mask_then_gate_then_truth() -> None:
    # mask, gate, truth of each image
    images = np.array([[1, 1, 1], [1, 1, 1], [1, 0, 0], [0, 1, 1], [0, 0, 0]], bool)
    counts = gate_confusion(*images.T)
    assert counts[1, 1].tolist() == [0, 2]
    assert counts[1, 0].tolist() == [1, 0]
    assert counts[0, 1].tolist() == [0, 1]
    assert counts[0, 0].tolist() == [1, 0]


def test_certainty_by_hand() -> None:
    rules = resolve_rules(RuleSettings(min_pixels=0), 1)
    # Drawn: two pixels at 255 and 204; a third at 102 is believed, a fourth at 51 (below half the threshold) is not.
    levels_chw = np.array([[[255, 204, 102, 51]]], np.uint8)
    masks_chw = draw_masks(levels_chw, rules)
    assert certainty(levels_chw, masks_chw, rules)[0] == pytest.approx(2 * 1.8 / (2 + 2.2))
    # The gate's 0.2 and the map's 1 make 0.6.
    gated = certainty(levels_chw, masks_chw, rules, np.array([0.2]))
    assert gated[0] == pytest.approx(0.6 * 2 * 1.8 / (2 + 2.2))
    # Nothing drawn: as sure as the highest pixel is low.
    faint_chw = np.array([[[0, 102]]], np.uint8)
    assert certainty(faint_chw, draw_masks(faint_chw, rules), rules)[0] == pytest.approx(0.6)
    # A strong mask dropped for its size leaves much doubt.
    strict = replace(rules, classes=(replace(rules.classes[0], min_pixels=9),))
    assert certainty(levels_chw, draw_masks(levels_chw, strict), strict)[0] == pytest.approx(0.0)


def test_rank_correlation_shares_ranks_and_knows_when_there_is_none() -> None:
    assert rank_correlation(np.array([1, 2, 3]), np.array([10, 20, 1000])) == pytest.approx(1)
    assert rank_correlation(np.array([1, 2, 3]), np.array([3, 2, 1])) == pytest.approx(-1)
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: covariance 4.5, variances 4.5 and 5.
    assert rank_correlation(np.array([0, 5, 5, 9]), np.arange(4)) == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    assert np.isnan(rank_correlation(np.array([1, 1]), np.array([1, 2])))
