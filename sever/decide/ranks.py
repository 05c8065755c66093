"""Ranks in place of probabilities, so that a blend doesn't depend on how its members are calibrated.

A member that always says 0.3 where another says 0.6 ranks its pixels just the same. The rank of a level is its place
(0..1) among all levels that this member gives this class in its out-of-fold maps: a table of 256 numbers, gathered in
one pass. Members' ranks are averaged; the mean rank is then turned back into a probability by the members' mean
quantile function (quantile normalisation, Bolstad et al. 2003), so that thresholds keep their meaning and members that
agree return what they said. The tables travel with the blend: a live image gets the same answer as a stored map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sever.decide.levels import NUM_LEVELS, quantise

# Counted for every level beside its pixels: a level that never occurred still has a place of its own.
PRIOR_PIXELS = 0.5


def count_levels(levels_chw: np.ndarray) -> np.ndarray:
    """(C, 256) int64: how many pixels of (C, H, W) uint8 have each level."""
    return np.stack([np.bincount(levels_hw.reshape(-1), minlength=NUM_LEVELS) for levels_hw in levels_chw])


def ranks_of(counts: np.ndarray) -> np.ndarray:
    """Counts (..., 256) of pixels to ranks (..., 256), strictly ascending in 0..1: the share of pixels below a level
    and half of those on it."""
    pixels = counts + PRIOR_PIXELS
    upto = np.cumsum(pixels, axis=-1)
    return np.asarray((upto - pixels / 2) / upto[..., -1:])


@dataclass(frozen=True)
class RankScale:
    """From members' probabilities to their mean rank's: tables (M, C, 256), shares (M,) that sum to 1, and for each
    class the mean quantile function as knots, rank to probability, straight in between."""

    ranks: np.ndarray
    shares: np.ndarray
    knots: tuple[tuple[np.ndarray, np.ndarray], ...]

    @staticmethod
    def of(ranks: np.ndarray, shares: np.ndarray) -> RankScale:
        return RankScale(
            ranks, shares, tuple(_mean_quantiles(ranks[:, index], shares) for index in range(len(ranks[0])))
        )

    def __call__(self, members: Sequence[np.ndarray]) -> np.ndarray:
        """Members' probabilities, each (C, H, W) float32, to (C, H, W) float32; they are taken on 8-bit levels."""
        assert len(members) == len(self.ranks), f"ranks of {len(self.ranks)} members for {len(members)}"
        result = np.empty(members[0].shape, np.float32)
        for index, (places, probs) in enumerate(self.knots):
            mean_rank = self.mean_rank([member[index] for member in members], index)
            result[index] = np.interp(mean_rank, places, probs)
        return result

    def mean_rank(self, members: Sequence[np.ndarray], class_index: int) -> np.ndarray:
        """Mean rank of one class, float64 in 0..1."""
        total = np.zeros(members[0].shape, np.float64)
        for probs, ranks, share in zip(members, self.ranks[:, class_index], self.shares, strict=True):
            total += (ranks * share)[quantise(probs)]
        return total


def _mean_quantiles(ranks_ml: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of piecewise straight functions: straight between all of their knots."""
    places = np.unique(ranks_ml)
    levels = np.linspace(0, 1, NUM_LEVELS)
    each = [np.interp(places, ranks, levels) for ranks in ranks_ml]
    return places, np.einsum("m,mk->k", shares, np.stack(each))
