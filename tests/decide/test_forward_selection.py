"""Greedy forward selection: the path by hand, honest judging by folds, and incremental sums that stay exact."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sever.config import RuleSettings
from sever.decide.ensemble import Blend
from sever.decide.forward_selection import (
    Counts,
    MixtureScores,
    Search,
    forward_select,
    lowest_terms,
    scaled_rules,
    select_weights,
)
from sever.decide.metrics import dice_pairs, pair_counts
from sever.decide.postprocess import dequantise, draw_masks
from sever.decide.rules import resolve_rules
from sever.errors import InputError

# One bag of all members.
PLAIN = Search(bags=1, bag_share=1.0)


def share_of(counts: Counts) -> np.ndarray:
    return np.array(counts) / sum(counts)


class Target:
    """A score per image that is best (1) for shares at `target` and falls off evenly; counts how often it is asked."""

    def __init__(self, target: list[float], images: int = 6) -> None:
        self.target, self.images, self.asked = np.array(target), images, 0

    def __call__(self, counts: Counts) -> np.ndarray:
        self.asked += 1
        return np.full(self.images, 1 - np.abs(share_of(counts) - self.target).sum())


EVERY = np.ones(6, dtype=bool)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ([1, 0, 0], (1, 0, 0)),
        ([0.5, 0.5, 0], (1, 1, 0)),
        ([2 / 3, 0, 1 / 3], (2, 0, 1)),  # a member is taken again: with replacement
        ([0.25, 0.5, 0.25], (1, 2, 1)),
    ],
)
def test_the_best_mixture_is_found(target: list[float], expected: Counts) -> None:
    assert forward_select(Target(target), 3, EVERY, PLAIN) == expected


def test_the_path_goes_on_past_a_step_that_does_not_help() -> None:
    """The third step, to (1, 1, 1), is the best there is and yet a loss; the fourth finds the best of all."""
    table = {(1, 0, 0): 0.5, (1, 1, 0): 0.6, (1, 1, 1): 0.55, (2, 1, 1): 0.9}

    def score(counts: Counts) -> np.ndarray:
        return np.full(6, table.get(counts, 0.1))

    assert forward_select(score, 3, EVERY, PLAIN) == (2, 1, 1)
    assert forward_select(score, 3, EVERY, Search(bags=1, bag_share=1.0, steps=3)) == (1, 1, 0)


def test_only_the_given_images_count() -> None:
    def score(counts: Counts) -> np.ndarray:
        first, second = share_of(counts)
        return np.array([first, first, second, second, second, second])

    assert forward_select(score, 2, np.array([1, 1, 0, 0, 0, 0], bool), PLAIN) == (1, 0)
    assert forward_select(score, 2, EVERY, PLAIN) == (0, 1)


def test_bags_hold_a_random_share_of_the_members() -> None:
    """Member 0 is by far the best; only bags without it take another, and they can't take it."""

    def score(counts: Counts) -> np.ndarray:
        return np.full(6, share_of(counts) @ np.array([1.0, 0.3, 0.2, 0.1]))

    counts = forward_select(score, 4, EVERY, Search(bags=40, bag_share=0.5))
    assert counts[0] > counts[1] > counts[2] >= counts[3] == 0  # the last is never the better one of a pair
    assert counts == forward_select(score, 4, EVERY, Search(bags=40, bag_share=0.5)), "seeded"
    assert counts != forward_select(score, 4, EVERY, Search(bags=40, bag_share=0.5, seed=1))


def test_lowest_terms() -> None:
    assert lowest_terms([4, 0, 6]) == (2, 0, 3)


def noisy_scores(gap: float, images: int = 120, seed: int = 0) -> dict[Counts, np.ndarray]:
    """Scores of every mixture of two members: linear in the share, member 0 better by `gap` on average."""
    generator = np.random.default_rng(seed)
    members = np.array([0.5 + gap, 0.5]) + generator.normal(0, 0.1, (images, 2))
    return {counts: members @ share_of(counts) for counts in product(range(60), repeat=2) if any(counts)}


def test_a_clear_lead_is_taken_and_reported() -> None:
    scores = noisy_scores(gap=0.2)
    folds_n = np.arange(120) % 3
    selection = select_weights(lambda counts: scores[counts], 2, folds_n, search=PLAIN)
    assert selection.taken
    assert selection.counts == selection.chosen == (1, 0)
    # All folds choose member 0, so the gain is exactly its lead over the equal mean.
    assert selection.gain.mean == pytest.approx((scores[1, 0] - scores[1, 1]).mean())
    assert selection.gain.low > 0
    assert selection.score - selection.equal_score == pytest.approx(selection.gain.mean)


def test_luck_is_not_taken() -> None:
    """Equally good members: whichever is chosen on some folds has no lead on the others, so the equal mean stays."""
    for seed in range(5):
        scores = noisy_scores(gap=0.0, seed=seed)
        selection = select_weights(lambda counts, known=scores: known[counts], 2, np.arange(120) % 3, search=PLAIN)
        assert selection.chosen != (1, 1), "in the images it was chosen on there is always a lead"
        assert selection.counts == (1, 1)
        assert not selection.taken


def test_weights_are_judged_on_folds_that_did_not_choose_them() -> None:
    """Member 0 is good in fold 0 and bad in fold 1; chosen on the one, it fails on the other."""
    folds_n = np.array([0] * 10 + [1] * 10)

    def score(counts: Counts) -> np.ndarray:
        first, second = share_of(counts)
        return np.where(folds_n == 0, 0.9 * first + 0.1 * second, 0.1 * first + 0.9 * second)

    selection = select_weights(score, 2, folds_n, search=PLAIN)
    assert selection.score == pytest.approx(0.1)
    assert selection.equal_score == pytest.approx(0.5)
    assert selection.gain.high < 0
    assert selection.counts == (1, 1)


def test_images_of_one_group_count_as_one() -> None:
    """Twenty copies of two images are no more evidence than two images."""
    scores = {(1, 0): np.array([0.9, 0.4] * 20), (1, 1): np.array([0.5, 0.45] * 20), (0, 1): np.zeros(40)}

    def score(counts: Counts) -> np.ndarray:
        return scores.get(counts, np.zeros(40))

    folds_n = np.arange(40) // 20
    assert select_weights(score, 2, folds_n, search=PLAIN).taken
    grouped = select_weights(score, 2, folds_n, ["a", "b"] * 20, PLAIN)
    assert not grouped.taken
    assert grouped.gain.low < 0 < grouped.gain.mean


def test_one_fold_can_not_judge() -> None:
    with pytest.raises(InputError, match="a single fold"):
        select_weights(Target([1, 0]), 2, np.zeros(6, int))


def random_evidence(seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Levels (M, C, H, W) and truths (C, H, W) of three images of different sizes."""
    generator = np.random.default_rng(seed)
    sizes = [(5, 7), (4, 4), (6, 3)]
    levels = [generator.integers(0, 256, (3, 2, *size), dtype=np.uint8) for size in sizes]
    return levels, [generator.integers(0, 2, (2, *size), dtype=np.uint8) for size in sizes]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10), st.lists(st.tuples(*[st.integers(0, 5)] * 3).filter(any), min_size=1, max_size=6))
def test_mixtures_score_as_the_blend_that_they_stand_for(seed: int, mixtures: list[Counts]) -> None:
    """Whatever was asked before: the sums go from one mixture to the next."""
    levels, truths = random_evidence(seed)
    rules = resolve_rules(RuleSettings(min_pixels=(2, 5)), 2)
    scores = MixtureScores(levels, truths, rules)
    for counts in mixtures:
        blend = Blend("mean", tuple(map(float, counts)))
        expected = []
        for levels_mchw, truth in zip(levels, truths, strict=True):
            # In whole numbers: ceil(total / n - 1/2), so that halves go down as in `quantise`.
            total, n = np.tensordot(np.array(counts), levels_mchw.astype(int), 1), sum(counts)
            levels_chw = -((n - 2 * total) // (2 * n))
            blended = blend([dequantise(each) for each in levels_mchw])
            np.testing.assert_allclose(levels_chw, 255 * blended, atol=0.501)
            masks_chw = draw_masks(levels_chw.astype(np.uint8), rules)
            expected.append(dice_pairs(pair_counts(masks_chw, truth)).mean())
        assert scores(counts) == pytest.approx(expected)


def test_the_gate_is_heard() -> None:
    levels, truths = random_evidence(0)
    rules = resolve_rules(RuleSettings.model_validate({"gate": {"kind": "veto"}, "min_pixels": 0}), 2)
    shut = MixtureScores(levels, truths, rules, np.zeros((3, 2), np.float32))
    # Nothing is drawn, and every class is there.
    assert shut((1, 1, 1)).tolist() == [0, 0, 0]
    assert MixtureScores(levels, truths, rules, np.ones((3, 2), np.float32))((1, 1, 1)).min() > 0


def test_rules_shrink_with_the_maps() -> None:
    rules = resolve_rules(
        RuleSettings(min_pixels=(600, 10), min_component_pixels=33, erode_pixels=4, dilate_pixels=1), 2
    )
    first, second = scaled_rules(rules, 4).classes
    assert (first.min_pixels, second.min_pixels) == (38, 1)  # 37.5 and 0.6
    assert (first.min_component_pixels, first.erode_pixels, first.dilate_pixels) == (2, 1, 0)
    assert scaled_rules(rules, 1) == rules
