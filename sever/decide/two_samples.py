"""Whether two sets of images can be told apart by their numbers, and by which; knows no files and no pixels.

A classifier that can't tell A from B on images that it has not seen has an area under its ROC curve of 0.5
(classifier two-sample test: Lopez-Paz and Oquab 2017). Its odds are the ratio of the densities, so they say how much
each image of A should count to stand for B (Bickel, Brueckner and Scheffer 2009).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sever.decide.bootstrap import Groups, Interval, group_numbers
from sever.errors import InputError

FOLDS = 5
# Inverse strength of the penalty: weak evidence leaves probabilities at a half.
FREEDOM = 0.1
FARTHEST = 4.0  # standard deviations beyond which an outlier says no more
LEVEL = 0.95
# An image may count at most this many times as much as an average one, or this many times less.
MOST_WEIGHT = 10.0


@dataclass(frozen=True)
class Apart:
    """`probs_n`: (N,) out of fold, that an image is of B. `area`: under the ROC curve, with its interval."""

    probs_n: np.ndarray
    area: Interval


def tell_apart(features_nf: np.ndarray, is_b_n: np.ndarray, groups: Groups, draws: int = 500, seed: int = 0) -> Apart:
    """Cross-validated over groups (images of A and B may share one), with an interval that resamples groups.

    Raises InputError where A or B has fewer than two groups.
    """
    groups_n = group_numbers(groups, len(is_b_n))
    count = min(FOLDS, *(len(np.unique(groups_n[is_b_n == part])) for part in (0, 1)))
    if count < 2:
        raise InputError("comparing two sets needs images of at least two groups in each; one has fewer")
    probs_n, folds_n = np.full(len(is_b_n), 0.5), np.zeros(len(is_b_n), int)
    splits = StratifiedGroupKFold(count, shuffle=True, random_state=seed).split(features_nf, is_b_n, groups_n)
    for fold, (train, held_out) in enumerate(splits):
        folds_n[held_out] = fold
        if len(np.unique(is_b_n[train])) == 2:
            fitted = _classifier().fit(features_nf[train], is_b_n[train])
            probs_n[held_out] = fitted.predict_proba(features_nf[held_out])[:, 1]
    return Apart(probs_n, _area_interval(probs_n, is_b_n, folds_n, groups_n, draws, seed))


def feature_areas(features_nf: np.ndarray, is_b_n: np.ndarray) -> np.ndarray:
    """(F,) area under the ROC curve of each number alone: above 0.5 where B has higher values, below where lower."""
    ones_n = np.ones(len(is_b_n))
    return np.array([_ordered(column_n, is_b_n).area(ones_n) for column_n in features_nf.T])


def stand_in_weights(probs_a_n: np.ndarray) -> np.ndarray:
    """(N,) weights, mean 1, that make images of A count as if they were of B, by their probabilities of being of B."""
    odds_n = probs_a_n / (1 - probs_a_n + 1e-12)
    weights_n = np.clip(odds_n / odds_n.mean(), 1 / MOST_WEIGHT, MOST_WEIGHT)
    return np.asarray(weights_n / weights_n.mean())


def effective_number(weights_n: np.ndarray) -> float:
    """How many equally weighted images would say as much."""
    return float(weights_n.sum() ** 2 / (weights_n**2).sum())


def _classifier() -> Pipeline:
    """Logistic regression on each number and its square, which finds a different mean and a different spread."""
    return make_pipeline(
        StandardScaler(),
        FunctionTransformer(_with_squares),
        LogisticRegression(C=FREEDOM, class_weight="balanced", max_iter=1000),
    )


def _with_squares(scaled_nf: np.ndarray) -> np.ndarray:
    near_nf = np.clip(scaled_nf, -FARTHEST, FARTHEST)
    return np.concatenate([near_nf, near_nf**2 - 1], axis=1)


@dataclass(frozen=True)
class _Order:
    """Images by the order of a score: `levels_n` are ranks, equal for equal scores."""

    levels_n: np.ndarray
    is_b_n: np.ndarray

    def area(self, weights_n: np.ndarray) -> float:
        """Chance that an image of B stands above one of A, where ties count half; NaN where either weighs nothing."""
        size = int(self.levels_n.max()) + 1
        of_a, of_b = (np.bincount(self.levels_n, weights_n * (self.is_b_n == part), size) for part in (0, 1))
        pairs = of_a.sum() * of_b.sum()
        return float((of_b * (np.cumsum(of_a) - of_a / 2)).sum() / pairs) if pairs > 0 else float("nan")


def _ordered(scores_n: np.ndarray, is_b_n: np.ndarray) -> _Order:
    return _Order(np.unique(scores_n, return_inverse=True)[1], is_b_n)


def _area_interval(
    probs_n: np.ndarray, is_b_n: np.ndarray, folds_n: np.ndarray, groups_n: np.ndarray, draws: int, seed: int
) -> Interval:
    """Of pairs within a fold: probabilities of two folds come from two classifiers, which are not on one scale."""
    parts = [np.flatnonzero(folds_n == fold) for fold in np.unique(folds_n)]
    orders = [_ordered(probs_n[part], is_b_n[part]) for part in parts]

    def area(weights_n: np.ndarray) -> float:
        areas = np.array([order.area(weights_n[part]) for order, part in zip(orders, parts, strict=True)])
        pairs = np.array([np.prod([weights_n[part][is_b_n[part] == side].sum() for side in (0, 1)]) for part in parts])
        return float(np.nansum(areas * pairs) / pairs.sum()) if pairs.sum() else float("nan")

    generator, num_groups = np.random.default_rng(seed), int(groups_n.max()) + 1
    drawn = [
        area(np.bincount(generator.integers(num_groups, size=num_groups), minlength=num_groups)[groups_n].astype(float))
        for _ in range(draws)
    ]
    mean, folds = area(np.ones(len(is_b_n))), len(parts)
    low, high = np.nanquantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    # Redrawing images that were held out doesn't redraw those that classifiers learnt from, and folds share these
    # (the correction for that: Nadeau and Bengio 2003, section 3).
    wider = (1 + folds / (folds - 1)) ** 0.5
    return Interval(mean, max(0.0, mean - wider * (mean - float(low))), min(1.0, mean + wider * (float(high) - mean)))
