"""Telling two sets apart: areas by hand and by a second implementation, no signal where there is none, weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from sever.decide.two_samples import _ordered, effective_number, feature_areas, stand_in_weights, tell_apart
from sever.errors import InputError


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(1, 4)), min_size=2, max_size=30))
def test_the_area_is_that_of_another_library(rows: list[tuple[int, bool, int]]) -> None:
    scores, sides, weights = (np.array(column) for column in zip(*rows, strict=True))
    found = _ordered(scores, sides.astype(int)).area(weights.astype(float))
    if len(np.unique(sides)) < 2:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(roc_auc_score(sides, scores, sample_weight=weights))


def test_each_number_by_itself() -> None:
    features = np.array([[1, 5, 2], [2, 6, 2], [3, 1, 2], [4, 2, 2]])
    # Always higher in B; always lower; always equal.
    assert feature_areas(features, np.array([0, 0, 1, 1])).tolist() == [1, 0, 0.5]


def test_a_set_against_itself_is_a_guess() -> None:
    features = np.random.default_rng(0).normal(size=(60, 12))
    found = tell_apart(np.tile(features, (2, 1)), np.repeat([0, 1], 60), np.tile(np.arange(60), 2), draws=50)
    assert found.area.mean == pytest.approx(0.5, abs=1e-6)
    assert found.probs_n == pytest.approx(0.5, abs=1e-3)


def test_without_groups_copies_would_look_like_a_difference() -> None:
    """The trap that groups are for: half of the set again in B, each beside its twin in A, and nothing else."""
    features = np.random.default_rng(0).normal(size=(60, 30))
    both, is_b = np.tile(features, (2, 1)), np.repeat([0, 1], 60)
    assert tell_apart(both, is_b, None, draws=50).area.mean < 0.45


def test_another_spread_is_found_as_well_as_another_mean() -> None:
    rng = np.random.default_rng(0)
    a, wide, higher = rng.normal(size=(150, 3)), rng.normal(size=(150, 3)) * 3, rng.normal(1, size=(150, 3))
    for b in (wide, higher):
        area = tell_apart(np.concatenate([a, b]), np.repeat([0, 1], 150), None, draws=100).area
        assert area.low > 0.75
        assert area.low < area.mean < area.high


def test_no_difference_is_claimed_where_there_is_none() -> None:
    """At a level of 95 % one of 40 may be claimed, so two of ten are a fault; twice as many were before the correction
    for classifiers that share what they learn from."""
    claimed = 0
    for seed in range(10):
        features = np.random.default_rng(seed).normal(size=(120, 5))
        claimed += tell_apart(features, np.repeat([0, 1], 60), None, draws=100).area.low > 0.5
    assert claimed <= 1


def test_weights_bring_the_mean_of_a_to_that_of_b() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (1500, 1)), rng.normal(0.7, 1, (1500, 1))
    found = tell_apart(np.concatenate([a, b]), np.repeat([0, 1], 1500), None, draws=20)
    weights = stand_in_weights(found.probs_n[:1500])
    assert weights.mean() == pytest.approx(1)
    assert (weights[:, None] * a).mean() == pytest.approx(0.7, abs=0.12)
    assert 1500 / 4 < effective_number(weights) < 1500
    assert effective_number(np.array([1.0, 1.0, 0.0, 0.0])) == 2


def test_too_few_groups() -> None:
    with pytest.raises(InputError, match="two groups"):
        tell_apart(np.zeros((4, 1)), np.array([0, 0, 1, 1]), ["a", "a", "b", "c"])
