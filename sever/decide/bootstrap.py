"""How sure a mean score, or a difference of two, is: bootstrap intervals that resample groups; knows only numbers.

Percentile intervals of the cluster bootstrap (Efron and Tibshirani 1993, chapters 8 and 13): images that belong
together (one coil, one photograph cut in pieces) say less than as many independent ones, so whole groups are drawn.
With few groups (under about 15) such an interval is somewhat too narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from sever.errors import InputError

# One group an image, of any kind; an image whose group is missing (None, NaN, "") is a group by itself.
Groups: TypeAlias = Sequence[Any] | np.ndarray | None


@dataclass(frozen=True)
class Interval:
    """A mean and the interval that holds it, at the level that was asked for."""

    mean: float
    low: float
    high: float

    @property
    def holds_zero(self) -> bool:
        return self.low <= 0 <= self.high

    @property
    def is_gain(self) -> bool:
        """Wholly above zero."""
        return self.low > 0

    @property
    def is_loss(self) -> bool:
        """Wholly below zero."""
        return self.high < 0

    def __str__(self) -> str:
        return f"{self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


def in_words(low: float, high: float) -> str:
    """What the interval of a difference says, in the words of every command: better, worse, the same, or neither."""
    if low > 0:
        return "better"
    if high < 0:
        return "worse"
    return "the same" if low == high == 0 else "no difference beyond noise"


def mean_interval(
    scores_nc: np.ndarray,
    groups_n: Groups = None,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    weights_n: np.ndarray | None = None,
) -> Interval:
    """Mean over all scores (N,) or (N, C), row n one image, and its interval; NaN means "no score" and is left out.

    `weights_n`: how much each image counts. Raises InputError for fewer than two groups or `draws`, or a level outside
    0..1.
    """
    rows = np.asarray(scores_nc, dtype=np.float64).reshape(len(scores_nc), -1)
    return _interval(_RowSums.of(rows.reshape(len(rows), -1, 1), weights_n), groups_n, draws, seed, level)[0]


def column_intervals(
    scores_nc: np.ndarray,
    groups_n: Groups = None,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    weights_n: np.ndarray | None = None,
) -> list[Interval]:
    """`mean_interval` of every column (class) of (N, C), all from the same draws."""
    rows = np.asarray(scores_nc, dtype=np.float64)
    return _interval(_RowSums.of(rows[:, None, :], weights_n), groups_n, draws, seed, level)


def paired_interval(
    a_nc: np.ndarray,
    b_nc: np.ndarray,
    groups_n: Groups = None,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    weights_n: np.ndarray | None = None,
) -> Interval:
    """Mean of `a - b`, scores of the same images, and its interval; equal scores give exactly 0, 0, 0."""
    assert np.shape(a_nc) == np.shape(b_nc), f"pairs differ in shape: {np.shape(a_nc)} and {np.shape(b_nc)}"
    return mean_interval(np.subtract(a_nc, b_nc, dtype=np.float64), groups_n, draws, seed, level, weights_n)


def group_numbers(groups_n: Groups, count: int) -> np.ndarray:
    """(N,) int64, 0..G-1: equal numbers belong together; `groups_n` as in `Groups`."""
    if groups_n is None:
        return np.arange(count)
    assert len(groups_n) == count, f"{len(groups_n)} groups for {count} images"
    numbers: dict[Any, int] = {}
    # A missing group gets a key that nothing else has: its own row.
    keys = [("image", row) if _is_missing(group) else ("group", group) for row, group in enumerate(groups_n)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def _is_missing(group: Any) -> bool:
    return group is None or group == "" or group != group  # only NaN differs from itself


@dataclass(frozen=True)
class _RowSums:
    """Sums and counts of the scores there are, (N, K) each: K means are computed from the same draws."""

    sums_nk: np.ndarray
    counts_nk: np.ndarray

    @staticmethod
    def of(scores_nmk: np.ndarray, weights_n: np.ndarray | None = None) -> _RowSums:
        """From (N, M, K): the mean runs over N and M."""
        there = ~np.isnan(scores_nmk)
        sums, counts = np.where(there, scores_nmk, 0.0).sum(axis=1), there.sum(axis=1).astype(np.float64)
        return (
            _RowSums(sums, counts)
            if weights_n is None
            else _RowSums(sums * weights_n[:, None], counts * weights_n[:, None])
        )


def _interval(rows: _RowSums, groups_n: Groups, draws: int, seed: int, level: float) -> list[Interval]:
    if draws < 2 or not 0 < level < 1:
        raise InputError(f"a bootstrap needs at least 2 draws and a level between 0 and 1; given {draws} and {level}")
    groups = group_numbers(groups_n, len(rows.sums_nk))
    num_groups = int(groups.max(initial=-1)) + 1
    if num_groups < 2:
        raise InputError(f"an interval needs images of at least two groups; there are {num_groups}")
    sums_gk, counts_gk = (_by_group(values_nk, groups, num_groups) for values_nk in (rows.sums_nk, rows.counts_nk))
    means_dk = _drawn_means(sums_gk, counts_gk, draws, seed)
    means_k = _ratio(sums_gk.sum(axis=0), counts_gk.sum(axis=0))
    tail = (1 - level) / 2
    columns = zip(means_k, means_dk.T, strict=True)
    return [Interval(float(mean), *_quantiles(drawn, tail)) for mean, drawn in columns]


def _by_group(values_nk: np.ndarray, groups: np.ndarray, num_groups: int) -> np.ndarray:
    return np.stack([np.bincount(groups, column, num_groups) for column in values_nk.T], axis=1)


def _drawn_means(sums_gk: np.ndarray, counts_gk: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """(draws, K): means over as many groups as there are, drawn with replacement."""
    generator = np.random.default_rng(seed)
    num_groups = len(sums_gk)
    means_dk = np.empty((draws, sums_gk.shape[1]))
    for draw in range(draws):  # one at a time: all at once would hold draws x groups numbers
        times_g = np.bincount(generator.integers(num_groups, size=num_groups), minlength=num_groups)
        means_dk[draw] = _ratio(times_g @ sums_gk, times_g @ counts_gk)
    return means_dk


def _ratio(sums_k: np.ndarray, counts_k: np.ndarray) -> np.ndarray:
    """NaN where nothing was drawn that has a score."""
    return np.where(counts_k > 0, sums_k / np.maximum(counts_k, 1), np.nan)


def _quantiles(drawn: np.ndarray, tail: float) -> tuple[float, float]:
    there = drawn[~np.isnan(drawn)]
    if not there.size:
        return float("nan"), float("nan")
    low, high = np.quantile(there, (tail, 1 - tail))
    return float(low), float(high)
