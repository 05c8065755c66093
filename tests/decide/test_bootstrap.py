"""Bootstrap intervals: against hand calculation, a slow second implementation, and the coverage that they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sever.decide.bootstrap import (
    Groups,
    Interval,
    column_intervals,
    group_numbers,
    in_words,
    mean_interval,
    paired_interval,
)
from sever.errors import InputError


def slow_interval(scores_nc: np.ndarray, groups: list[str], draws: int, seed: int) -> Interval:
    """Whole groups copied together, draw after draw."""
    generator = np.random.default_rng(seed)
    names = list(dict.fromkeys(groups))
    members = [scores_nc[[group == name for group in groups]] for name in names]
    means = [
        np.concatenate([members[at] for at in generator.integers(len(names), size=len(names))]).mean()
        for _ in range(draws)
    ]
    return Interval(float(scores_nc.mean()), *map(float, np.quantile(means, (0.025, 0.975))))


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 30), st.integers(1, 4), st.integers(2, 8), st.integers(0, 99))
def test_it_agrees_with_copying_whole_groups(images: int, classes: int, groups: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    scores_nc = generator.random((images, classes))
    names = [f"coil {number}" for number in generator.integers(groups, size=images)]
    names[:2] = ["coil 0", "coil 1"]
    found, expected = mean_interval(scores_nc, names, 50, seed), slow_interval(scores_nc, names, 50, seed)
    assert (found.mean, found.low, found.high) == pytest.approx((expected.mean, expected.low, expected.high))


def test_two_groups_have_three_means() -> None:
    # Drawn twice from {0, 1}: 0 with probability 1/4, 1/2 with 1/2, 1 with 1/4.
    assert mean_interval(np.array([0.0, 1.0]), draws=4000) == Interval(0.5, 0.0, 1.0)
    assert mean_interval(np.array([0.0, 1.0]), draws=4000, level=0.4) == Interval(0.5, 0.5, 0.5)


def test_groups_of_unequal_size_weigh_by_their_images() -> None:
    # Groups: three images of score 1, one image of score 0. Means of two drawn groups: 1, 3/4 or 0.
    interval = mean_interval(np.array([1.0, 1, 1, 0]), ["a", "a", "a", "b"], draws=4000, level=0.4)
    assert interval == Interval(0.75, 0.75, 0.75)


def test_equal_scores_differ_by_exactly_nothing() -> None:
    scores_nc = np.random.default_rng(0).random((50, 4))
    assert paired_interval(scores_nc, scores_nc.copy()) == Interval(0.0, 0.0, 0.0)
    assert paired_interval(scores_nc, scores_nc.copy()).holds_zero


def test_a_constant_gain_is_certain_however_much_scores_vary() -> None:
    scores_nc = np.random.default_rng(0).integers(0, 64, (50, 4)) / 64
    assert paired_interval(scores_nc + 0.25, scores_nc) == Interval(0.25, 0.25, 0.25)
    assert paired_interval(scores_nc + 0.25, scores_nc).is_gain
    assert paired_interval(scores_nc, scores_nc + 0.25).is_loss


def test_it_covers_the_true_mean_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    hits = 0
    for seed in range(200):
        interval = mean_interval(generator.beta(2, 1, 60), draws=200, seed=seed)
        hits += interval.low <= 2 / 3 <= interval.high
    assert 0.89 <= hits / 200 <= 0.99


def test_copies_within_a_group_add_no_certainty() -> None:
    scores = np.random.default_rng(2).random(40)
    copied, groups = np.repeat(scores, 5), np.repeat(np.arange(40), 5)
    alone, grouped, ignored = mean_interval(scores), mean_interval(copied, groups), mean_interval(copied)
    assert (grouped.low, grouped.high) == pytest.approx((alone.low, alone.high))
    assert ignored.high - ignored.low < 0.6 * (alone.high - alone.low)


@pytest.mark.parametrize("missing", [None, "", float("nan")])
def test_images_without_a_group_stand_alone(missing: object) -> None:
    groups: Groups = ["a", missing, "a", missing, "b"]
    assert group_numbers(groups, 5).tolist() == [0, 1, 0, 2, 3]


def test_without_groups_every_image_stands_alone() -> None:
    scores = np.random.default_rng(3).random(20)
    assert mean_interval(scores) == mean_interval(scores, [None] * 20) == mean_interval(scores, list(range(20)))


def test_each_column_is_what_it_is_alone() -> None:
    scores_nc = np.random.default_rng(4).random((30, 3))
    groups = [str(row // 2) for row in range(30)]
    for found, column in zip(column_intervals(scores_nc, groups), scores_nc.T, strict=True):
        alone = mean_interval(column, groups)
        assert (found.mean, found.low, found.high) == pytest.approx((alone.mean, alone.low, alone.high))


def test_no_score_is_left_out() -> None:
    scores_nc = np.array([[0.25, math.nan], [0.75, 0.5], [math.nan, math.nan], [0.5, 0.5]])
    assert mean_interval(scores_nc).mean == 0.5
    nowhere = column_intervals(np.array([[1.0, math.nan], [1.0, math.nan]]))[1]
    assert all(math.isnan(value) for value in (nowhere.mean, nowhere.low, nowhere.high))


def test_the_seed_decides() -> None:
    scores = np.random.default_rng(5).random(40)
    assert mean_interval(scores, seed=1) == mean_interval(scores, seed=1) != mean_interval(scores, seed=2)


@pytest.mark.parametrize(
    ("groups", "draws", "level", "said"),
    [
        (["a", "a", "a"], 100, 0.95, "two groups"),
        (None, 1, 0.95, "at least 2 draws"),
        (None, 100, 95.0, "level between 0 and 1"),
    ],
)
def test_what_gives_no_interval_is_told(groups: Groups, draws: int, level: float, said: str) -> None:
    with pytest.raises(InputError, match=said):
        mean_interval(np.array([0.0, 0.5, 1.0]), groups, draws, level=level)


def test_a_weight_of_two_is_a_second_copy_in_the_same_group() -> None:
    scores, groups = np.array([0.1, 0.7, 0.4, 0.9]), ["a", "a", "b", "c"]
    twice = mean_interval(np.append(scores, 0.4), [*groups, "b"], draws=50)
    assert mean_interval(scores, groups, draws=50, weights_n=np.array([1.0, 1, 2, 1])) == twice
    plain = mean_interval(scores, groups, draws=50)
    assert mean_interval(scores, groups, draws=50, weights_n=np.ones(4)) == plain


def test_the_words_of_an_interval() -> None:
    pairs = [(0.001, 0.2), (-0.2, -0.001), (0.0, 0.0), (-0.1, 0.1), (0.0, 0.1), (-0.1, 0.0)]
    neither = "no difference beyond noise"
    assert [in_words(low, high) for low, high in pairs] == ["better", "worse", "the same", neither, neither, neither]
