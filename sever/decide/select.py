"""Which two submissions to choose: the pair whose better private score is expected to be the highest.

It works on draws of public and private scores (`sever.decide.shakeup`) and knows no images and no files. Two
candidates that fail on different images are worth more together than two of the best that fail on the same ones,
since only the better of the two counts in the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sever.decide.shakeup import Draws, paired_errors, rank_correlations
from sever.errors import InputError

# Spread of what lifts or lowers all scores alike on the real test set (another share of hard images, other labels),
# around the mean by which the known scores lie off the draws: wide enough to tell nothing of the draws.
COMMON_LEVEL = 0.1
# A leaderboard shows five digits.
ROUNDING = 0.00001 / 12**0.5
# Known public scores may leave this share of the draws at work, not fewer.
LEAST_EFFECTIVE_SHARE = 0.1
# Pairs whose expected better scores differ by less are equal: the draws, and what they assume, tell no finer.
INDIFFERENCE = 0.0001


@dataclass(frozen=True)
class Outlook:
    """Outcomes with the weight of each draw (they add up to 1), after what is known of the public scores.

    `power` below 1 means that the draws hardly reach the known scores, so that these were believed in part only.
    """

    public_dm: np.ndarray
    private_dm: np.ndarray
    weights_d: np.ndarray
    scenario_d: np.ndarray
    power: float = 1.0

    @property
    def effective_draws(self) -> float:
        return float(1 / (self.weights_d**2).sum())

    def scenario_weights(self) -> dict[str, float]:
        """How much weight each scenario has; equal shares where no public score is known."""
        names = dict.fromkeys(map(str, self.scenario_d))
        return {name: float(self.weights_d[self.scenario_d == name].sum()) for name in names}


@dataclass(frozen=True)
class Spread:
    """A weighted mean, and the interval that holds 95 % of the weight."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Choice:
    """The pair, the better one first; `values_mm` holds every pair's expected better score, alone on the diagonal."""

    pair: tuple[int, int]
    values_mm: np.ndarray
    private: tuple[Spread, ...]
    best_chances_m: np.ndarray
    rank_correlation: Spread
    by_scenario: dict[str, tuple[int, int]]

    @property
    def value(self) -> float:
        return float(self.values_mm[self.pair])


def look_ahead(
    draws: Draws,
    known_m: np.ndarray,
    covariance_mm: np.ndarray,
    drift: float = 0.001,
    seed: int = 0,
) -> Outlook:
    """Weigh the draws by how well they agree with the known public scores `known_m` (M,), NaN where unknown.

    A known score is taken as: the draw's expected public score, plus a level common to all candidates, plus the
    candidate's own drift (`drift_covariance`, the same in public and private: the networks submitted are not exactly
    those scored out of fold), plus the noise of the public images (`covariance_mm`, of that many images). The weight of
    a draw is the density of what is left; level and drift are then drawn given it (Matheron's rule) and moved into the
    scores. Where fewer than a tenth of the draws would do all the work, the density's power is lowered.
    """
    generator = np.random.default_rng(seed)
    num_draws, num = draws.private_dm.shape
    own_mm = drift_covariance(covariance_mm, drift)
    own_dm = generator.multivariate_normal(np.zeros(num), own_mm, num_draws, method="eigh")
    at = np.flatnonzero(~np.isnan(known_m))
    if not at.size:
        even_d = np.full(num_draws, 1 / num_draws)
        return Outlook(draws.public_dm + own_dm, draws.private_dm + own_dm, even_d, draws.scenario_d)
    shift_mm = own_mm + COMMON_LEVEL**2
    noise = covariance_mm[np.ix_(at, at)] + ROUNDING**2 * np.eye(at.size)
    total = shift_mm[np.ix_(at, at)] + noise
    left_da = known_m[at] - draws.expected_dm[:, at]
    level = float(left_da.mean())
    left_da -= level
    logs_d = -0.5 * (left_da * np.linalg.solve(total, left_da.T).T).sum(axis=1)
    weights_d, power = _tempered(logs_d)
    prior_dm = own_dm + generator.normal(0, COMMON_LEVEL, (num_draws, 1))
    error_da = generator.multivariate_normal(np.zeros(at.size), noise, num_draws, method="eigh")
    surprise_da = left_da - prior_dm[:, at] - error_da
    shifts_dm = level + prior_dm + surprise_da @ np.linalg.solve(total, shift_mm[at])
    return Outlook(draws.public_dm + shifts_dm, draws.private_dm + shifts_dm, weights_d, draws.scenario_d, power)


def drift_covariance(covariance_mm: np.ndarray, drift: float) -> np.ndarray:
    """(M, M): how candidates drift off their scores; two that differ as much as most do, by `drift` each.

    What fails on the same images drifts alike: one network under two rules hardly moves against itself, so that a
    public difference between them is not taken for one between networks.
    """
    num = len(covariance_mm)
    apart = np.eye(num) - 1 / num
    own_mm = apart @ covariance_mm @ apart
    differences = paired_errors(own_mm)[np.triu_indices(num, k=1)] ** 2
    typical = float(np.median(differences)) / 2 if differences.size else 0.0
    return own_mm * (drift**2 / typical) if typical > 0 else np.zeros_like(own_mm)


def choose_pair(outlook: Outlook) -> Choice:
    """The pair with the highest expected better private score; of equal pairs the one of the best two. Raises
    InputError for one candidate alone."""
    private_dm, weights_d = outlook.private_dm, outlook.weights_d
    num = private_dm.shape[1]
    if num < 2:
        raise InputError(f"a pair is chosen from at least 2 candidates; there is {num}")
    values_mm = expected_better(private_dm, weights_d)
    correlations_d = rank_correlations(outlook.public_dm, private_dm)
    by_scenario = {}
    for name in outlook.scenario_weights():
        rows = outlook.scenario_d == name
        by_scenario[name] = _best_pair(expected_better(private_dm[rows], weights_d[rows]))
    return Choice(
        _best_pair(values_mm),
        values_mm,
        tuple(spread(column_d, weights_d) for column_d in private_dm.T),
        best_chances(private_dm, weights_d),
        spread(correlations_d, weights_d),
        by_scenario,
    )


def expected_better(private_dm: np.ndarray, weights_d: np.ndarray) -> np.ndarray:
    """(M, M): the expected better score of every two candidates; on the diagonal that of one alone."""
    values_mm = np.empty((private_dm.shape[1],) * 2)
    for index, column_d in enumerate(private_dm.T):
        values_mm[index] = np.average(np.maximum(private_dm, column_d[:, None]), axis=0, weights=weights_d)
    return values_mm


def best_chances(private_dm: np.ndarray, weights_d: np.ndarray) -> np.ndarray:
    """(M,) probability of each candidate to be the best of all; those that tie share."""
    best_dm = private_dm == private_dm.max(axis=1, keepdims=True)
    return weights_d @ (best_dm / best_dm.sum(axis=1, keepdims=True))


def spread(values_d: np.ndarray, weights_d: np.ndarray) -> Spread:
    """Mean and 95 % interval of weighted values, NaN left out; all NaN gives NaN."""
    there = ~np.isnan(values_d) & (weights_d > 0)
    if not there.any():
        return Spread(float("nan"), float("nan"), float("nan"))
    values, weights = values_d[there], weights_d[there]
    order = np.argsort(values, kind="stable")
    below = (np.cumsum(weights[order]) - weights[order] / 2) / weights.sum()
    low, high = np.interp((0.025, 0.975), below, values[order])
    return Spread(float(np.average(values, weights=weights)), float(low), float(high))


def _best_pair(values_mm: np.ndarray) -> tuple[int, int]:
    """The best of all pairs of two different candidates, the one that is better alone first.

    Of pairs that are equal by INDIFFERENCE it is the one whose two are the best alone: where one candidate dominates,
    hardly anything is to be gained by what differs from it.
    """
    firsts, seconds = np.triu_indices(len(values_mm), k=1)
    alone_m, pairs = np.diag(values_mm), values_mm[firsts, seconds]
    equal = np.flatnonzero(pairs >= pairs.max() - INDIFFERENCE)
    best = int(equal[(alone_m[firsts] + alone_m[seconds])[equal].argmax()])
    one, other = int(firsts[best]), int(seconds[best])
    return (one, other) if alone_m[one] >= alone_m[other] else (other, one)


def _tempered(logs_d: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights from log densities, and the highest power at which enough draws still count."""

    def weights(power: float) -> np.ndarray:
        raised_d = np.exp(power * (logs_d - logs_d.max()))
        return raised_d / raised_d.sum()

    def enough(power: float) -> bool:
        return 1 / (weights(power) ** 2).sum() >= LEAST_EFFECTIVE_SHARE * len(logs_d)

    if enough(1.0):
        return weights(1.0), 1.0
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if enough(middle) else (low, middle)
    return weights(low), low
