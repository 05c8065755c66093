"""Flips: exact inverses, the right axes by name, and their average worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sever.config import Flip
from sever.decide.flips import FLIPS
from sever.decide.flips import flip_average as average_answers
from sever.errors import InputError


def flip_average(
    forward: Callable[[np.ndarray], np.ndarray], pixels_nhwc: np.ndarray, flips: Sequence[str]
) -> np.ndarray:
    """Of a network that only gives maps."""
    maps, labels = average_answers(lambda pixels: (forward(pixels), None), pixels_nhwc, flips)
    assert labels is None
    assert maps is not None
    return maps


def pixels_of(*rows: list[float]) -> np.ndarray:
    """One image (1, H, W, 1)."""
    return np.array(rows, np.float32)[None, :, :, None]


def as_maps(pixels_nhwc: np.ndarray) -> np.ndarray:
    return np.moveaxis(pixels_nhwc, 3, 1).astype(np.float32)


flip_lists = st.sampled_from([list(names) for count in range(4) for names in combinations(FLIPS, count)])


def test_flips_are_those_of_the_settings() -> None:
    assert set(FLIPS) == set(get_args(Flip))


@pytest.mark.parametrize(
    ("name", "expected"), [("width", [[2, 1], [4, 3]]), ("height", [[3, 4], [1, 2]]), ("both", [[4, 3], [2, 1]])]
)
def test_names_by_hand(name: str, expected: list[list[int]]) -> None:
    seen = []

    def forward(pixels_nhwc: np.ndarray) -> np.ndarray:
        seen.append(pixels_nhwc[0, :, :, 0].tolist())
        return as_maps(pixels_nhwc)

    flip_average(forward, pixels_of([1, 2], [3, 4]), [name])
    assert seen == [[[1, 2], [3, 4]], expected]


@given(flip_lists, st.integers(1, 3), st.integers(1, 5), st.integers(1, 6), st.integers(0, 10))
def test_a_pointwise_network_answers_as_without_flips(
    flips: list[str], batch: int, height: int, width: int, seed: int
) -> None:
    pixels = np.random.default_rng(seed).random((batch, height, width, 2), np.float32)
    found = flip_average(lambda pixels: as_maps(pixels) ** 2, pixels, flips)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, as_maps(pixels) ** 2, rtol=1e-6)


def test_average_by_hand() -> None:
    # A network that answers 1 in the first column only, whatever it sees.
    def forward(pixels_nhwc: np.ndarray) -> np.ndarray:
        probs = np.zeros((1, 1, 2, 4), np.float32)
        probs[..., 0] = 1
        return probs

    probs = flip_average(forward, np.zeros((1, 2, 4, 1)), ["width", "height", "both"])
    # Plain and height answer at the left, width and both at the right.
    assert probs[0, 0].tolist() == [[0.5, 0, 0, 0.5]] * 2


def test_flipping_the_input_flips_the_answer() -> None:
    # With all flips the average is equivariant, whatever the network: here one that looks to the upper left.
    def forward(pixels_nhwc: np.ndarray) -> np.ndarray:
        maps = as_maps(pixels_nhwc)
        return 0.7 * maps + 0.2 * np.roll(maps, (1, 2), (2, 3)) ** 2

    pixels = np.random.default_rng(0).random((1, 6, 7, 1), np.float32)
    probs = flip_average(forward, pixels, list(FLIPS))
    for sides in FLIPS.values():
        turned = flip_average(forward, np.flip(pixels, [1 + side for side in sides]), list(FLIPS))
        np.testing.assert_allclose(turned, np.flip(probs, [2 + side for side in sides]), rtol=1e-6)


def test_labels_are_averaged_and_not_turned() -> None:
    # A network whose label is the level of the top left pixel, and whose map is the pixels themselves.
    def forward(pixels_nhwc: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return as_maps(pixels_nhwc), pixels_nhwc[:, 0, 0, :]

    pixels = pixels_of([0.1, 0.2], [0.3, 0.8])
    maps, labels = average_answers(forward, pixels, ["width", "both"])
    np.testing.assert_allclose(maps, as_maps(pixels), rtol=1e-6)
    np.testing.assert_allclose(labels, [[(0.1 + 0.2 + 0.8) / 3]], rtol=1e-6)
    no_maps, alone = average_answers(lambda pixels: (None, forward(pixels)[1]), pixels, ["width", "both"])
    assert no_maps is None
    np.testing.assert_array_equal(alone, labels)


@pytest.mark.parametrize(
    ("flips", "words"),
    [
        (["width", "sideways"], "unknown flip 'sideways'; allowed: width, height, both"),
        (["width", "both", "width"], "flip width is given more than once"),
    ],
)
def test_wrong_flips(flips: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        flip_average(np.square, np.zeros((1, 2, 2, 1)), flips)
