"""Test-time augmentation by flips: predict mirrored copies, mirror back, average; knows no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sever.errors import InputError

# Dimensions of (N, C, H, W) that a flip mirrors. A flip is its own inverse.
FLIPS: dict[str, tuple[int, ...]] = {"width": (-1,), "height": (-2,), "both": (-2, -1)}


def check_flips(flips: Sequence[str]) -> None:
    """Raises InputError for an unknown flip, or one given twice (which would weigh it double)."""
    unknown = [name for name in flips if name not in FLIPS]
    if unknown:
        raise InputError(f"unknown flip {', '.join(map(repr, unknown))}; allowed: {', '.join(FLIPS)}")
    twice = sorted({name for name in flips if list(flips).count(name) > 1})
    if twice:
        raise InputError(f"flip {', '.join(twice)} is given more than once; name each flip once")


def flip_average(forward_probs: Callable[[Tensor], Tensor], pixels_nchw: Tensor, flips: Sequence[str]) -> Tensor:
    """Mean of the probabilities of the pixels as they are and of each flipped copy, turned back.

    `forward_probs` maps (N, in, H, W) to (N, C, H, W). Raises InputError for an unknown or repeated flip.
    """
    check_flips(flips)
    total = forward_probs(pixels_nchw)
    for name in flips:
        total = total + torch.flip(forward_probs(torch.flip(pixels_nchw, FLIPS[name])), FLIPS[name])
    return total / (1 + len(flips))
