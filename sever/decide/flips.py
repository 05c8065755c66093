"""Test-time augmentation by flips: predict mirrored copies, turn maps back, average; knows no network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sever.decide.prediction import Forward
from sever.errors import InputError

# Which sides of a picture a flip mirrors: 0 its height, 1 its width. A flip is its own inverse.
FLIPS: dict[str, tuple[int, ...]] = {"width": (1,), "height": (0,), "both": (0, 1)}
# Where the height stands: in pixels (N, H, W, channels), in maps (N, C, H, W).
_IN_PIXELS, _IN_MAPS = 1, 2


def check_flips(flips: Sequence[str]) -> None:
    """Raises InputError for an unknown flip, or one given twice (which would weigh it double)."""
    unknown = [name for name in flips if name not in FLIPS]
    if unknown:
        raise InputError(f"unknown flip {', '.join(map(repr, unknown))}; allowed: {', '.join(FLIPS)}")
    twice = sorted({name for name in flips if list(flips).count(name) > 1})
    if twice:
        raise InputError(f"flip {', '.join(twice)} is given more than once; name each flip once")


def flip_average(
    forward: Forward, pixels_nhwc: np.ndarray, flips: Sequence[str]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Mean of what `forward` says of the pixels as they are and of each flipped copy, whose maps are turned back.

    Raises InputError for an unknown or repeated flip.
    """
    check_flips(flips)
    answers = [forward(pixels_nhwc)]
    for name in flips:
        # A copy, since few libraries take arrays that run backwards.
        maps, labels = forward(_mirror(pixels_nhwc, name, _IN_PIXELS).copy())
        answers.append((None if maps is None else _mirror(maps, name, _IN_MAPS), labels))
    return _mean([maps for maps, _ in answers]), _mean([labels for _, labels in answers])


def _mirror(array: np.ndarray, flip: str, first_side: int) -> np.ndarray:
    return np.flip(array, tuple(first_side + side for side in FLIPS[flip]))


def _mean(answers: Sequence[np.ndarray | None]) -> np.ndarray | None:
    there = [answer for answer in answers if answer is not None]
    if len(there) == 1:
        return there[0]  # as it is, not copied
    return sum(there[1:], start=there[0]) / np.float32(len(there)) if there else None
