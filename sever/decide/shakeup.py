"""How a competition may turn out: draws of its public and private scores from scores out of fold; knows no files.

A test set is drawn from the population that the images at hand came from, and that population is not known exactly:
each draw first weighs the groups of images at random (the Bayesian bootstrap, Rubin 1981), then draws groups into a
public and a private part. Both parts come from one drawn population, so a candidate that the population favours
gains in both, as in a real competition. Images of one group always come together and with the same weight.

A scenario says how the test images may differ from those at hand; every one has its share of the draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from sever.decide.bootstrap import Groups, group_numbers
from sever.errors import InputError

# Of the clusters of images, how many a part of the test set lacks.
LEFT_OUT_SHARE = 0.25
# Odds of a clean image may be this many times higher, or lower, in the test set.
CLEAN_ODDS = 3.0

# For each group, how much likelier it is in the public part, and in the private part.
Tilts = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class GroupScores:
    """What M candidates scored, summed over the images of each of G groups, and what scenarios need to know.

    `clean_g` is the share of clean images in each group, `weight_g` its images' mean weight, `cluster_g` its cluster.
    """

    sums_gm: np.ndarray
    sizes_g: np.ndarray
    clean_g: np.ndarray
    weight_g: np.ndarray | None = None
    cluster_g: np.ndarray | None = None

    @property
    def num_images(self) -> int:
        return int(self.sizes_g.sum())

    @property
    def means_m(self) -> np.ndarray:
        """Each candidate's score over all images."""
        return self.sums_gm.sum(axis=0) / self.sizes_g.sum()


@dataclass(frozen=True)
class PublicSplit:
    """How many images the competition scores in public and in private."""

    public_images: int
    private_images: int

    def __post_init__(self) -> None:
        if self.public_images < 1 or self.private_images < 1:
            raise InputError(
                f"a competition has at least 1 public and 1 private image; given {self.public_images} and "
                f"{self.private_images}"
            )


@dataclass(frozen=True)
class Draws:
    """D outcomes for M candidates; `expected_dm` is the public score that endless public images would give."""

    public_dm: np.ndarray
    private_dm: np.ndarray
    expected_dm: np.ndarray
    scenario_d: np.ndarray


def group_scores(
    scores_nm: np.ndarray,
    groups_n: Groups,
    clean_n: np.ndarray,
    weights_n: np.ndarray | None = None,
    clusters_n: np.ndarray | None = None,
) -> GroupScores:
    """Sum the scores (N images, M candidates) by group; `groups_n` as `sever.decide.bootstrap.Groups` has it.

    A group whose images lie in several clusters belongs to the one that most of them lie in.
    """
    groups = group_numbers(groups_n, len(scores_nm))
    sizes_g = np.bincount(groups).astype(np.float64)

    def summed(values_n: np.ndarray) -> np.ndarray:
        return np.bincount(groups, values_n, len(sizes_g))

    return GroupScores(
        np.stack([summed(column) for column in np.asarray(scores_nm, np.float64).T], axis=1),
        sizes_g,
        summed(clean_n) / sizes_g,
        None if weights_n is None else summed(weights_n) / sizes_g,
        None if clusters_n is None else _most_common(groups, clusters_n),
    )


def score_covariance(groups: GroupScores, num_images: int) -> np.ndarray:
    """(M, M): covariance of the candidates' scores over `num_images` images, drawn as whole groups.

    The sampling formula for a mean over clusters; with one image a group it is the covariance of the scores divided
    by `num_images`. Raises InputError for fewer than two groups.
    """
    num_groups = len(groups.sizes_g)
    if num_groups < 2:
        raise InputError("one group of images does not show how much a score varies; give images of several")
    apart_gm = groups.sums_gm - groups.sizes_g[:, None] * groups.means_m
    per_image = apart_gm.T @ apart_gm / groups.num_images * num_groups / (num_groups - 1)
    return per_image / num_images


def paired_errors(covariance_mm: np.ndarray) -> np.ndarray:
    """(M, M): standard error of the difference of every two candidates' scores over the same images."""
    variance_m = np.diag(covariance_mm)
    return np.sqrt(np.maximum(variance_m[:, None] + variance_m[None, :] - 2 * covariance_mm, 0))


def draw_outcomes(
    groups: GroupScores, split: PublicSplit, scenarios: Sequence[str], draws: int = 2000, seed: int = 0
) -> Draws:
    """Draw what each candidate may score; the scenarios take turns. Raises InputError for one that can't be drawn."""
    for name in scenarios:
        check_scenario(name, groups)
    if draws < 1 or not scenarios:
        raise InputError(f"at least 1 draw and 1 scenario are needed; given {draws} and {list(scenarios)}")
    generator = np.random.default_rng(seed)
    shape = (draws, groups.sums_gm.shape[1])
    public_dm, private_dm, expected_dm = (np.empty(shape) for _ in range(3))
    scenario_d = np.array([scenarios[draw % len(scenarios)] for draw in range(draws)])
    for draw, name in enumerate(scenario_d):
        population_g = generator.exponential(size=len(groups.sizes_g))
        public_g, private_g = (population_g * tilt_g for tilt_g in SCENARIOS[str(name)](groups, generator))
        expected_dm[draw] = _score(public_g, groups)
        public_dm[draw] = _score(draw_part(public_g, groups.sizes_g, split.public_images, generator), groups)
        private_dm[draw] = _score(draw_part(private_g, groups.sizes_g, split.private_images, generator), groups)
    return Draws(public_dm, private_dm, expected_dm, scenario_d)


def draw_part(
    chances_g: np.ndarray, sizes_g: np.ndarray, num_images: int, generator: np.random.Generator
) -> np.ndarray:
    """(G,) how often each group is in a part of `num_images` images, drawn with replacement by its chance.

    The group that would make the part too large counts in part, so that the sizes add up exactly.
    """
    steps_g = np.cumsum(chances_g)
    mean_size = float(chances_g @ sizes_g / steps_g[-1])
    drawn: list[np.ndarray] = []
    total = 0.0
    while total < num_images:
        at = np.searchsorted(
            steps_g, generator.random(int((num_images - total) / mean_size) + 8) * steps_g[-1], "right"
        )
        drawn.append(at)
        total += float(sizes_g[at].sum())
    sequence = np.concatenate(drawn)
    ends = np.cumsum(sizes_g[sequence])
    last = int(np.searchsorted(ends, num_images, "left"))
    counts = np.ones(last + 1)
    counts[last] = 1 - (ends[last] - num_images) / sizes_g[sequence[last]]
    return np.bincount(sequence[: last + 1], counts, len(sizes_g))


def rank_correlations(public_dm: np.ndarray, private_dm: np.ndarray) -> np.ndarray:
    """(D,) Spearman's rank correlation of public and private scores in each draw; NaN where all score alike."""
    ranks = [rankdata(scores_dm, axis=1) for scores_dm in (public_dm, private_dm)]
    public, private = (rank_dm - rank_dm.mean(axis=1, keepdims=True) for rank_dm in ranks)
    spread = np.sqrt((public**2).sum(axis=1) * (private**2).sum(axis=1))
    return np.where(spread > 0, (public * private).sum(axis=1) / np.where(spread > 0, spread, 1), np.nan)


def check_scenario(name: str, groups: GroupScores) -> None:
    """Raises InputError for an unknown scenario, or one that these images can't show."""
    if name not in SCENARIOS:
        raise InputError(f"there is no scenario {name}; there are {', '.join(SCENARIOS)}")
    if reason := impossible(name, groups):
        raise InputError(f"scenario {name} can't be drawn: {reason}")


def impossible(name: str, groups: GroupScores) -> str:
    """Why a scenario can't be drawn from these images; empty if it can."""
    if name == "weights" and groups.weight_g is None:
        return "it needs weights of the images, or test images to compute them from"
    if name == "clusters" and (groups.cluster_g is None or len(np.unique(groups.cluster_g)) < 2):
        return "it needs groups of images in at least two clusters"
    if name == "clean" and not 0 < float(groups.clean_g @ groups.sizes_g) < groups.num_images:
        return "it needs both clean and defective images"
    return ""


def _most_common(groups_n: np.ndarray, clusters_n: np.ndarray) -> np.ndarray:
    """(G,) the cluster of most of each group's images; of equally common ones the first."""
    num_clusters = int(clusters_n.max()) + 1
    both, counts = np.unique(groups_n * num_clusters + clusters_n, return_counts=True)
    order = np.lexsort((-both, counts))
    cluster_g = np.empty(int(groups_n.max()) + 1, dtype=np.int64)
    cluster_g[both[order] // num_clusters] = both[order] % num_clusters  # the last one stays
    return cluster_g


def _score(counts_g: np.ndarray, groups: GroupScores) -> np.ndarray:
    return counts_g @ groups.sums_gm / (counts_g @ groups.sizes_g)


def _as_it_is(groups: GroupScores, generator: np.random.Generator) -> Tilts:
    """Test images like those at hand."""
    ones_g = np.ones(len(groups.sizes_g))
    return ones_g, ones_g


def _reweighted(groups: GroupScores, generator: np.random.Generator) -> Tilts:
    """Test images as a classifier of train against test sees them."""
    assert groups.weight_g is not None, "checked before"
    return groups.weight_g, groups.weight_g


def _clusters_left_out(groups: GroupScores, generator: np.random.Generator) -> Tilts:
    """Each part lacks some clusters, drawn for itself."""
    cluster_g = groups.cluster_g
    assert cluster_g is not None, "checked before"
    clusters = np.unique(cluster_g)
    lacking = min(max(1, round(LEFT_OUT_SHARE * len(clusters))), len(clusters) - 1)

    def tilt() -> np.ndarray:
        absent = generator.choice(clusters, lacking, replace=False)
        return (~np.isin(cluster_g, absent)).astype(np.float64)

    return tilt(), tilt()


def _other_clean_share(groups: GroupScores, generator: np.random.Generator) -> Tilts:
    """More, or fewer, clean images in the whole test set; the odds change by a factor drawn on a log scale."""
    odds = CLEAN_ODDS ** generator.uniform(-1, 1)
    tilt_g = 1 + groups.clean_g * (odds - 1)
    return tilt_g, tilt_g


SCENARIOS: Mapping[str, Callable[[GroupScores, np.random.Generator], Tilts]] = {
    "none": _as_it_is,
    "weights": _reweighted,
    "clusters": _clusters_left_out,
    "clean": _other_clean_share,
}
