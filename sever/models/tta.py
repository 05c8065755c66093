"""Test-time augmentation by flips: predict mirrored copies, turn maps back, average; knows no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from sever.errors import InputError

# Dimensions of (N, C, H, W) that a flip mirrors. A flip is its own inverse.
FLIPS: dict[str, tuple[int, ...]] = {"width": (-1,), "height": (-2,), "both": (-2, -1)}


class Probabilities(NamedTuple):
    """Of one batch: maps (N, C, H, W) and image labels (N, C); None where the network has no such head."""

    maps: Tensor | None
    labels: Tensor | None = None


def check_flips(flips: Sequence[str]) -> None:
    """Raises InputError for an unknown flip, or one given twice (which would weigh it double)."""
    unknown = [name for name in flips if name not in FLIPS]
    if unknown:
        raise InputError(f"unknown flip {', '.join(map(repr, unknown))}; allowed: {', '.join(FLIPS)}")
    twice = sorted({name for name in flips if list(flips).count(name) > 1})
    if twice:
        raise InputError(f"flip {', '.join(twice)} is given more than once; name each flip once")


def flip_average(
    forward_probs: Callable[[Tensor], Probabilities], pixels_nchw: Tensor, flips: Sequence[str]
) -> Probabilities:
    """Mean of the probabilities of the pixels as they are and of each flipped copy, whose maps are turned back.

    `forward_probs` maps pixels (N, in, H, W) to Probabilities. Raises InputError for an unknown or repeated flip.
    """
    check_flips(flips)
    answers = [forward_probs(pixels_nchw)]
    for name in flips:
        maps, labels = forward_probs(torch.flip(pixels_nchw, FLIPS[name]))
        answers.append(Probabilities(None if maps is None else torch.flip(maps, FLIPS[name]), labels))
    return Probabilities(_mean([maps for maps, _ in answers]), _mean([labels for _, labels in answers]))


def _mean(answers: Sequence[Tensor | None]) -> Tensor | None:
    there = [answer for answer in answers if answer is not None]
    return sum(there[1:], start=there[0]) / len(there) if there else None
