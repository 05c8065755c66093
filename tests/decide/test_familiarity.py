"""Familiarity: distances by hand, calibration on unseen images, strangers, few images, files."""

from __future__ import annotations

import numpy as np
import pytest

from sever.decide.familiarity import Normality, as_arrays, from_arrays, learn_normality
from sever.errors import InputError


def by_hand() -> Normality:
    """Three features; one direction, along the first; four held-out images."""
    return Normality(
        np.array([1.0, 2.0, 3.0]),
        np.array([2.0, 1.0, 1.0]),
        np.array([[1.0, 0.0, 0.0]]),
        np.array([2.0]),
        0.5,
        np.array([0.5, 1.0, 2.0, 4.0]),
    )


def test_the_distance_by_hand() -> None:
    # Standardised: (2, 1, 0). Along the direction 2 / 2 = 1; the rest 1 / 0.5 = 2: (1 + 4) / 3.
    assert by_hand().distances(np.array([[5.0, 3.0, 3.0]])) == pytest.approx([np.sqrt(5 / 3)])


def test_a_familiarity_is_a_share_of_held_out_images() -> None:
    # sqrt(5/3) = 1.29: two of four lie at least as far, and so does the image itself.
    assert by_hand().familiarity(np.array([[5.0, 3.0, 3.0]])) == pytest.approx([3 / 5])
    assert by_hand().familiarity(np.array([[1.0, 2.0, 3.0], [900.0, 2.0, 3.0]])) == pytest.approx([5 / 5, 1 / 5])


def correlated(rng: np.random.Generator, count: int, features: int = 40) -> np.ndarray:
    mixing = np.random.default_rng(0).normal(size=(6, features))
    return rng.normal(size=(count, 6)) @ mixing + 0.1 * rng.normal(size=(count, features)) + 5


def test_familiarities_of_unseen_normal_images_are_spread_evenly() -> None:
    rng = np.random.default_rng(1)
    normality = learn_normality(correlated(rng, 400), correlated(rng, 2000))
    found = normality.familiarity(correlated(rng, 2000))
    for share in (0.1, 0.5, 0.9):
        assert (found <= share).mean() == pytest.approx(share, abs=0.05)


def test_a_stranger_that_breaks_a_correlation_is_found_though_each_number_is_ordinary() -> None:
    rng = np.random.default_rng(2)
    normal = correlated(rng, 400)
    normality = learn_normality(normal, correlated(rng, 200))
    shuffled = np.stack([rng.permutation(column) for column in normal.T], axis=1)
    assert np.median(normality.familiarity(shuffled)) < 0.01
    assert np.median(normality.distances(shuffled)) > 2 * np.median(normality.distances(normal))


def test_constant_features_say_nothing() -> None:
    rng = np.random.default_rng(3)
    features = np.concatenate([rng.normal(size=(50, 3)), np.full((50, 2), 7.0)], axis=1)
    normality = learn_normality(features, features[:20])
    moved = features.copy()
    moved[:, 3] += 1
    assert normality.distances(moved) == pytest.approx(normality.distances(features))


@pytest.mark.parametrize(("training", "validation"), [(8, 8), (9, 500), (500, 8)])
def test_few_images_of_many_features_are_enough_to_begin_with(training: int, validation: int) -> None:
    rng = np.random.default_rng(4)
    normality = learn_normality(correlated(rng, training, 300), correlated(rng, validation, 300))
    stranger = correlated(rng, 1, 300) + 50
    assert normality.familiarity(stranger) == pytest.approx([1 / (validation + 1)])


def test_too_few_images_and_damaged_weights_are_told() -> None:
    rows = np.zeros((20, 3))
    with pytest.raises(InputError, match="8 training images"):
        learn_normality(rows[:7], rows)
    with pytest.raises(InputError, match="8 validation images"):
        learn_normality(rows, rows[:7])
    with pytest.raises(InputError, match="not finite numbers"):
        learn_normality(rows, rows * np.nan)


def test_arrays_there_and_back() -> None:
    rng = np.random.default_rng(5)
    normality = learn_normality(correlated(rng, 100), correlated(rng, 30))
    arrays = as_arrays(normality)
    again, unseen = from_arrays(arrays), correlated(rng, 20)
    assert again.distances(unseen) == pytest.approx(normality.distances(unseen), rel=1e-3)
    with pytest.raises(InputError, match="lacks rest"):
        from_arrays({name: array for name, array in arrays.items() if name != "rest"})
    with pytest.raises(InputError, match="fit"):
        from_arrays(arrays | {"deviations_k": arrays["deviations_k"][:-1]})


def test_a_feature_that_never_varies_comes_back_and_what_is_no_number_does_not() -> None:
    rng = np.random.default_rng(5)
    features = correlated(rng, 200, 6)
    features[:, 2] = 1
    arrays = as_arrays(learn_normality(features, features[:50]))
    assert np.isinf(arrays["scale_f"]).sum() == 1
    again = from_arrays(arrays)
    assert np.isfinite(again.distances(features)).all()
    for name in ("mean_f", "scale_f", "directions_kf", "rest", "distances_v"):
        broken = arrays[name].copy()
        broken.reshape(-1)[0] = np.nan
        with pytest.raises(InputError):
            from_arrays(arrays | {name: broken})
