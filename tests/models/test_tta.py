"""Flips: exact inverses, the right axes by name, and their average worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sever.config import Flip
from sever.errors import InputError
from sever.models.tta import FLIPS, Probabilities
from sever.models.tta import flip_average as average_answers


def flip_average(
    forward: Callable[[torch.Tensor], torch.Tensor], pixels_nchw: torch.Tensor, flips: Sequence[str]
) -> torch.Tensor:
    """Of a network that only gives maps."""
    maps, labels = average_answers(lambda pixels: Probabilities(forward(pixels)), pixels_nchw, flips)
    assert labels is None
    assert maps is not None
    return maps


flip_lists = st.sampled_from([list(names) for count in range(4) for names in combinations(FLIPS, count)])


def test_flips_are_those_of_the_settings() -> None:
    assert set(FLIPS) == set(get_args(Flip))


@pytest.mark.parametrize(
    ("name", "expected"), [("width", [[2, 1], [4, 3]]), ("height", [[3, 4], [1, 2]]), ("both", [[4, 3], [2, 1]])]
)
def test_names_by_hand(name: str, expected: list[list[int]]) -> None:
    seen = []

    def forward(pixels_nchw: torch.Tensor) -> torch.Tensor:
        seen.append(pixels_nchw[0, 0].tolist())
        return pixels_nchw.float()

    flip_average(forward, torch.tensor([[[[1, 2], [3, 4]]]], dtype=torch.uint8), [name])
    assert seen == [[[1, 2], [3, 4]], expected]


@settings(deadline=None)  # torch takes its time over the very first call
@given(flip_lists, st.integers(1, 3), st.integers(1, 5), st.integers(1, 6), st.integers(0, 10))
def test_a_pointwise_network_answers_as_without_flips(
    flips: list[str], batch: int, height: int, width: int, seed: int
) -> None:
    pixels = torch.rand(batch, 2, height, width, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(flip_average(torch.square, pixels, flips), pixels**2)


def test_average_by_hand() -> None:
    # A network that answers 1 in the first column only, whatever it sees.
    def forward(pixels_nchw: torch.Tensor) -> torch.Tensor:
        probs = torch.zeros(1, 1, 2, 4)
        probs[..., 0] = 1
        return probs

    probs = flip_average(forward, torch.zeros(1, 1, 2, 4), ["width", "height", "both"])
    # Plain and height answer at the left, width and both at the right.
    assert probs[0, 0].tolist() == [[0.5, 0, 0, 0.5]] * 2


def test_flipping_the_input_flips_the_answer() -> None:
    # With all flips the average is equivariant, whatever the network.
    torch.manual_seed(0)
    network = torch.nn.Conv2d(1, 2, 3, padding=1)
    pixels = torch.rand(1, 1, 6, 7)
    flips = list(FLIPS)
    with torch.inference_mode():
        probs = flip_average(network, pixels, flips)
        for dims in FLIPS.values():
            turned = flip_average(network, pixels.flip(dims), flips)
            torch.testing.assert_close(turned, probs.flip(dims))


def test_labels_are_averaged_and_not_turned() -> None:
    # A network whose label is the level of the top left pixel, and whose map is the pixels themselves.
    def forward(pixels_nchw: torch.Tensor) -> Probabilities:
        return Probabilities(pixels_nchw, pixels_nchw[:, :, 0, 0])

    pixels = torch.tensor([[[[0.1, 0.2], [0.3, 0.8]]]])
    maps, labels = average_answers(forward, pixels, ["width", "both"])
    torch.testing.assert_close(maps, pixels)
    torch.testing.assert_close(labels, torch.tensor([[(0.1 + 0.2 + 0.8) / 3]]))
    alone = average_answers(lambda pixels: Probabilities(None, forward(pixels).labels), pixels, ["width", "both"])
    assert alone.maps is None
    torch.testing.assert_close(alone.labels, labels)


@pytest.mark.parametrize(
    ("flips", "words"),
    [
        (["width", "sideways"], "unknown flip 'sideways'; allowed: width, height, both"),
        (["width", "both", "width"], "flip width is given more than once"),
    ],
)
def test_wrong_flips(flips: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        flip_average(torch.square, torch.zeros(1, 1, 2, 2), flips)
