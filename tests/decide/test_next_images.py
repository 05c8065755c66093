"""Which images are chosen: uncertain, but no copies of one difficulty; short pools; equal images."""

from __future__ import annotations

import numpy as np
import pytest

from sever.decide.next_images import choose_next


def test_copies_of_the_most_uncertain_image_are_not_all_chosen() -> None:
    # Six copies of one difficulty, then four other ones, then images that the model is sure of.
    features = np.array([[0.0, 0]] * 6 + [[9, 0], [0, 9], [9, 9], [-9, 0]] + [[1, 1]] * 10)
    uncertainties = np.array([0.9] * 6 + [0.6, 0.5, 0.55, 0.52] + [0.01] * 10)
    chosen = choose_next(uncertainties, features, 5)
    assert chosen[0] == 0
    assert set(chosen[1:].tolist()) >= {6, 7, 8}
    assert list(uncertainties[chosen]) == sorted(uncertainties[chosen], reverse=True)


def test_what_is_sure_is_not_chosen_for_being_different() -> None:
    rng = np.random.default_rng(0)
    uncertainties = np.concatenate([rng.uniform(0.5, 1, 100), np.zeros(900)])
    chosen = choose_next(uncertainties, rng.normal(size=(1000, 5)), 20)
    assert chosen.max() < 100
    assert len(set(chosen.tolist())) == 20


@pytest.mark.parametrize("count", [3, 4, 50])
def test_a_short_pool_is_chosen_whole(count: int) -> None:
    assert choose_next(np.array([0.1, 0.3, 0.2]), np.zeros((3, 2)), count).tolist() == [1, 2, 0]


def test_equal_images_still_make_up_the_number() -> None:
    chosen = choose_next(np.linspace(1, 0, 40), np.zeros((40, 3)), 10)
    assert chosen.tolist() == list(range(10))


def test_the_seed_decides() -> None:
    rng = np.random.default_rng(1)
    uncertainties, features = rng.random(200), rng.normal(size=(200, 4))
    first, again = (choose_next(uncertainties, features, 15, seed=3).tolist() for _ in range(2))
    assert first == again
