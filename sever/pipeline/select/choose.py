"""`sever select`: from the score tables of candidates, the two submissions to choose, with the reasons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sever.counted import counted
from sever.data.listing import list_table
from sever.data.reader import ImageReader
from sever.decide.bootstrap import group_numbers
from sever.decide.select import ROUNDING, Choice, Outlook, choose_pair, look_ahead
from sever.decide.shakeup import (
    SCENARIOS,
    GroupScores,
    PublicSplit,
    draw_outcomes,
    group_scores,
    impossible,
    paired_errors,
    score_covariance,
)
from sever.errors import InputError
from sever.pipeline.evidence import open_evidence
from sever.pipeline.select.candidates import Candidates, read_candidates
from sever.pipeline.select.image_features import clusters, folder_features, likeness_to_test
from sever.pipeline.weights import read_weights

CLUSTER_KINDS = ("features", "groups")
# The public share of the 2019 competition: 1,801 of 5,506 test images.
PUBLIC_SHARE = 0.327


@dataclass(frozen=True)
class SelectSettings:
    """What is known of the competition, and how to draw it. Without scenarios, all that can be drawn are."""

    public: Path | None = None
    public_share: float | None = None
    public_images: int | None = None
    private_images: int | None = None
    scenarios: tuple[str, ...] = ()
    weights: Path | None = None
    test_images: Path | None = None
    clusters: str = "features"
    num_clusters: int = 8
    draws: int = 2000
    drift: float = 0.001
    seed: int = 0


@dataclass(frozen=True)
class CandidateDifference:
    """Two candidates over the same public images: a difference below the standard error counts as none."""

    one: str
    other: str
    out_of_fold: float
    public: float | None
    standard_error: float

    @property
    def counts(self) -> bool | None:
        """None where the public scores are not known."""
        return None if self.public is None else abs(self.public) >= max(self.standard_error, ROUNDING)


@dataclass(frozen=True)
class Selection:
    """The choice, and all it rests on; `blind` is what would be chosen without public scores."""

    candidates: Candidates
    split: PublicSplit
    known_m: np.ndarray
    outlook: Outlook
    choice: Choice
    blind: Choice
    differences: tuple[CandidateDifference, ...]
    notes: tuple[str, ...]

    @property
    def pair(self) -> tuple[str, str]:
        one, other = self.choice.pair
        return self.candidates.names[one], self.candidates.names[other]


def select_submissions(paths: Sequence[Path], settings: SelectSettings) -> Selection:
    """Choose two of several cross-validations or blends by their score tables.

    Raises InputError for candidates that can't be compared, and for settings that don't fit them.
    """
    _check(settings)
    candidates = read_candidates(paths)
    split = _split(settings, len(candidates.image_ids))
    known_m = np.full(len(candidates.names), np.nan)
    if settings.public is not None:
        known_m = candidates.read_public(settings.public)
    groups, notes = _facts(candidates, settings)
    scenarios = settings.scenarios or tuple(name for name in SCENARIOS if not impossible(name, groups))
    return select(candidates, groups, split, known_m, scenarios, settings, notes)


def select(
    candidates: Candidates,
    groups: GroupScores,
    split: PublicSplit,
    known_m: np.ndarray,
    scenarios: Sequence[str],
    settings: SelectSettings,
    notes: tuple[str, ...] = (),
) -> Selection:
    """The same from what was read."""
    covariance_mm = score_covariance(groups, split.public_images)
    draws = draw_outcomes(groups, split, scenarios, settings.draws, settings.seed)
    blind = look_ahead(draws, np.full_like(known_m, np.nan), covariance_mm, settings.drift, settings.seed)
    choice = blind_choice = choose_pair(blind)
    outlook = blind
    if not np.isnan(known_m).all():
        outlook = look_ahead(draws, known_m, covariance_mm, settings.drift, settings.seed)
        choice = choose_pair(outlook)
    return Selection(
        candidates,
        split,
        known_m,
        outlook,
        choice,
        blind_choice,
        tuple(_differences(candidates.names, groups.means_m, known_m, paired_errors(covariance_mm))),
        notes,
    )


def _differences(
    names: Sequence[str], means_m: np.ndarray, known_m: np.ndarray, errors_mm: np.ndarray
) -> list[CandidateDifference]:
    return [
        CandidateDifference(
            names[one],
            names[other],
            float(means_m[one] - means_m[other]),
            _known(known_m[one] - known_m[other]),
            float(errors_mm[one, other]),
        )
        for one in range(len(names))
        for other in range(one + 1, len(names))
    ]


def _split(settings: SelectSettings, num_images: int) -> PublicSplit:
    counts = (settings.public_images, settings.private_images)
    if (counts[0] is None) != (counts[1] is None):
        raise InputError("give both --public-images and --private-images, or --public-share alone")
    if counts[0] is not None and counts[1] is not None:
        if settings.public_share is not None:
            raise InputError("give either --public-share or the numbers of images, not both")
        return PublicSplit(counts[0], counts[1])
    share = PUBLIC_SHARE if settings.public_share is None else settings.public_share
    if not 0 < share < 1:
        raise InputError(f"--public-share is a share of the test images, above 0 and below 1; given {share}")
    public = max(1, round(share * num_images))
    return PublicSplit(public, max(1, num_images - public))


def _facts(candidates: Candidates, settings: SelectSettings) -> tuple[GroupScores, tuple[str, ...]]:
    """What the scenarios need, as far as they are wanted; and what a person should know of it."""
    weights_n = read_weights(settings.weights, candidates.image_ids) if settings.weights is not None else None
    notes: list[str] = []
    features_nf = None
    if settings.test_images is not None:
        features_nf = _own_features(candidates)
        weights_n, area = likeness_to_test(features_nf, _test_features(settings.test_images))
        notes.append(f"Simple statistics tell train from test images with an area under the curve of {area:.2f}.")
    if weights_n is not None:
        effective = weights_n.sum() ** 2 / (weights_n**2).sum()
        counts = counted(len(weights_n), "image counts", "images count")
        notes.append(f"Weighted to resemble the test images, {counts} as {effective:.0f}.")
    clusters_n = _clusters(candidates, settings, features_nf, notes)
    if tuned := [name for name, found in zip(candidates.names, candidates.evidence, strict=True) if found.is_tuned]:
        notes.append(f"Rules chosen on these same images, so scores that are slightly too good: {', '.join(tuned)}.")
    facts = group_scores(candidates.scores_nm, candidates.groups_n, candidates.clean_n, weights_n, clusters_n)
    return facts, tuple(notes)


def _clusters(
    candidates: Candidates, settings: SelectSettings, features_nf: np.ndarray | None, notes: list[str]
) -> np.ndarray | None:
    """The cluster of each image, where the scenario is wanted; None where it was not asked for by name, and the images
    that it looks at are not there."""
    if settings.scenarios and "clusters" not in settings.scenarios:
        return None
    if settings.clusters == "groups":
        return group_numbers(candidates.groups_n, len(candidates.image_ids))
    first = candidates.evidence[0]
    for file, read in ((first.folds_file, first.read_folds), (first.rules_file, first.rules)):
        if file.is_file():
            read()  # that images are not there is one thing, a damaged table another
    try:
        features_nf = _own_features(candidates) if features_nf is None else features_nf
    except InputError as error:
        if settings.scenarios:
            raise
        notes.append(
            f"The scenario clusters is left out, for it looks at the images (--clusters groups does not): {error}"
        )
        return None
    return clusters(features_nf, settings.num_clusters, settings.seed)


def _own_features(candidates: Candidates) -> np.ndarray:
    """Of the images out of fold, in the candidates' order."""
    opened = open_evidence(candidates.evidence[0].folder)
    table = opened.table.select(candidates.image_ids)
    return folder_features(table.paths, ImageReader.of(opened.data, channels=1))


def _test_features(folder: Path) -> np.ndarray:
    return folder_features(list_table(folder).paths, ImageReader(channels=1))


def _check(settings: SelectSettings) -> None:
    for name in settings.scenarios:
        if name not in SCENARIOS:
            raise InputError(f"there is no scenario {name}; there are {', '.join(SCENARIOS)}")
    if settings.clusters not in CLUSTER_KINDS:
        raise InputError(f"there are no clusters by {settings.clusters}; there are {', '.join(CLUSTER_KINDS)}")
    if settings.weights is not None and settings.test_images is not None:
        raise InputError("give either --weights, or --test-images to compute them from, not both")
    if not 0 <= settings.drift < math.inf:
        raise InputError(f"--drift is a standard deviation in score, 0 or more; given {settings.drift}")


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
