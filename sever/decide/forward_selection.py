"""Which models to blend, and how much of each: greedy forward selection with replacement, bagged; knows only arrays.

Caruana, Niculescu-Mizil, Crew and Ksikes, "Ensemble selection from libraries of models" (2004): begin with the best
model, add again and again the one (any, also one that is in already) with which the mean scores best, and keep the
best mixture on the way. Done for several random halves of the models (bags), the counts added up, so that luck weighs
less. A mixture is a tuple of counts, one a member; its map is the members' mean, weighted by the counts.

Chosen weights always look good on the images that they were chosen on. So they are judged crosswise, chosen on some
folds and scored on another, and taken only where they beat the equal mean there beyond noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from sever.decide.bootstrap import Groups, Interval, paired_interval
from sever.decide.metrics import dice_pairs, pair_counts
from sever.decide.postprocess import draw_masks
from sever.decide.rules import Rules
from sever.errors import InputError

Counts: TypeAlias = tuple[int, ...]
# Scores (N,) of all images under a mixture.
ScoreImages: TypeAlias = Callable[[Counts], np.ndarray]


@dataclass(frozen=True)
class Search:
    """`steps`: members in the mixture of a bag, at most; `bags` random shares `bag_share` of all members, at least two
    of them; `seed` draws the bags."""

    steps: int = 12
    bags: int = 10
    bag_share: float = 0.5
    seed: int = 0


@dataclass(frozen=True)
class ForwardSelection:
    """What was chosen on all images, and whether choosing so pays off: `gain` is that of choosing on the other folds
    over the equal mean; `taken` says that its interval lies above zero. `counts` are those to use."""

    counts: Counts
    chosen: Counts
    taken: bool
    gain: Interval
    score: float
    equal_score: float


def select_weights(
    score: ScoreImages, num_members: int, folds_n: np.ndarray, groups_n: Groups = None, search: Search | None = None
) -> ForwardSelection:
    """Choose counts on all images, and judge the choosing out of fold against the equal mean.

    `folds_n` (N,): fold of each image; an image is scored under the counts that all other folds chose. Raises
    InputError for fewer than two folds.
    """
    search = search or Search()
    equal = (1,) * num_members
    numbers = np.unique(folds_n)
    if len(numbers) < 2:
        raise InputError("weights are chosen on some folds and judged on others, but the evidence has a single fold")
    crossed_n = np.empty(len(folds_n), np.float64)
    for number in numbers:
        held_out = folds_n == number
        counts = forward_select(score, num_members, ~held_out, search)
        crossed_n[held_out] = score(counts)[held_out]
    equal_n = score(equal)
    gain = paired_interval(crossed_n, equal_n, groups_n, seed=search.seed)
    chosen = forward_select(score, num_members, np.ones(len(folds_n), dtype=bool), search)
    counts = chosen if gain.is_gain else equal
    return ForwardSelection(counts, chosen, gain.is_gain, gain, float(crossed_n.mean()), float(equal_n.mean()))


def forward_select(score: ScoreImages, num_members: int, rows: np.ndarray, search: Search) -> Counts:
    """Counts (M,) of all bags together, in lowest terms; `rows` (N,) bool: the images to choose on."""
    generator = np.random.default_rng(search.seed)
    size = min(num_members, max(2, math.ceil(num_members * search.bag_share)))
    total = np.zeros(num_members, np.int64)
    for _ in range(search.bags):
        members = generator.permutation(num_members)[:size]
        total += _climb(score, num_members, sorted(members.tolist()), rows, search.steps)
    return lowest_terms(total.tolist())


def lowest_terms(counts: Sequence[int]) -> Counts:
    """The same mixture in its smallest numbers."""
    divisor = math.gcd(*counts)
    return tuple(count // divisor for count in counts)


def _climb(score: ScoreImages, num_members: int, members: Sequence[int], rows: np.ndarray, steps: int) -> np.ndarray:
    """Counts of the best mixture on the way from the best single member; of equals the earlier, so the smaller."""
    counts = np.zeros(num_members, np.int64)
    best, best_score = counts, -math.inf
    for _ in range(steps):
        longer = [counts + (np.arange(num_members) == member) for member in members]
        scores = [float(score(lowest_terms(each.tolist()))[rows].mean()) for each in longer]
        winner = int(np.argmax(scores))
        counts = longer[winner]
        if scores[winner] > best_score:
            best, best_score = counts, scores[winner]
    return best


@dataclass
class MixtureScores:
    """Score of every image under any mixture: its mean Dice over the classes, masks drawn from the mixture by `rules`.

    `levels`: one array an image, (M, C, H, W) uint8; `truths`: (C, H, W) each; `gate_probs_nc` (N, C) or None. The
    same mixture comes up in many bags and folds, so every answer is kept; and the sum of the last mixture is kept for
    each image, so that one member more costs one addition.
    """

    levels: Sequence[np.ndarray]
    truths: Sequence[np.ndarray]
    rules: Rules
    gate_probs_nc: np.ndarray | None = None
    _known: dict[Counts, np.ndarray] = field(default_factory=dict)
    _base: Counts = ()
    _sums: list[np.ndarray] = field(default_factory=list)

    def __call__(self, counts: Counts) -> np.ndarray:
        """(N,) float64."""
        if counts not in self._known:
            self._move_to(counts)
            total = sum(counts)
            self._known[counts] = np.array([self._score(row, total) for row in range(len(self.levels))])
        return self._known[counts]

    def _score(self, row: int, total: int) -> float:
        # The nearest level to sum / total, halves down, as `quantise` has it.
        levels_chw = ((2 * self._sums[row] + (total - 1)) // np.int32(2 * total)).astype(np.uint8)
        gate = None if self.gate_probs_nc is None else self.gate_probs_nc[row]
        masks_chw = draw_masks(levels_chw, self.rules, gate)
        return float(dice_pairs(pair_counts(masks_chw, self.truths[row])).mean())

    def _move_to(self, counts: Counts) -> None:
        """Bring the sums from the last mixture to this one by adding and taking away what differs."""
        assert 255 * sum(counts) < np.iinfo(np.int32).max // 2
        if not self._sums:
            self._sums = [np.zeros(each.shape[1:], np.int32) for each in self.levels]
            self._base = (0,) * len(counts)
        steps = [new - old for new, old in zip(counts, self._base, strict=True)]
        for sums_chw, levels_mchw in zip(self._sums, self.levels, strict=True):
            for levels_chw, step in zip(levels_mchw, steps, strict=True):
                if step:
                    sums_chw += levels_chw * np.int32(step)
        self._base = counts


def scaled_rules(rules: Rules, stride: int) -> Rules:
    """The rules for maps of which only every `stride`-th row and column is kept: areas and radii shrink with them."""
    if stride == 1:
        return rules
    classes = tuple(
        replace(
            each,
            erode_pixels=round(each.erode_pixels / stride),
            dilate_pixels=round(each.dilate_pixels / stride),
            min_component_pixels=round(each.min_component_pixels / stride**2),
            min_pixels=round(each.min_pixels / stride**2),
        )
        for each in rules.classes
    )
    return replace(rules, classes=classes)
