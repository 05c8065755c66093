"""Experiment: which two submissions to choose, over many simulated competitions, by the regret of each strategy.

Each competition splits the images by groups in three: those out of fold, which the chooser sees, and a public and a
private test part. The test images may differ from the others: some kinds of image (clusters) more or less frequent,
another share of clean images, or not at all; the chooser is not told. Regret is the best private score of all
candidates minus the better one of the two chosen. Reported whatever comes out, with intervals over competitions.
Competitions from folders share their images, so those intervals hold for these images and candidates only.

Candidates are folders of out-of-fold evidence (`sever crossval`, `sever blend`), each under its own rules (tune them
first) and eight sets of rules near them; without folders, scores made up of images of several kinds and candidates with
a skill for each. With the file severstal/leaderboard_2019.csv (32 scored submissions of one author), it also says what
that one real case shows.

    python benchmarks/choose_submissions.py saved/a saved/b --competitions 400
"""

from __future__ import annotations

import csv
from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from common import describe_machine, make_parser, parse, print_ratio, print_table
from scipy.stats import rankdata

from sever.data.reader import ImageReader
from sever.decide.bootstrap import group_numbers, mean_interval
from sever.decide.metrics import dice_pairs, pair_counts
from sever.decide.postprocess import draw_masks
from sever.decide.rules import ClassRules, Rules, resolve_rules
from sever.decide.select import choose_pair, look_ahead
from sever.decide.shakeup import PublicSplit, draw_outcomes, group_scores, impossible, score_covariance
from sever.pipeline.evidence import open_evidence
from sever.pipeline.select.image_features import clusters, folder_features

BOARD = Path(__file__).parents[1] / ".." / "shared" / "data" / "severstal" / "leaderboard_2019.csv"
PUBLIC_IMAGES, CHOSEN_2019 = 1801, 0.90274
# Changes of a folder's own rules, as one tries them on a leaderboard: thresholds moved, smallest areas scaled.
THRESHOLD_STEPS = (-0.1, 0.0, 0.1)
AREA_FACTORS = (0.5, 1.0, 2.0)
TEST_SHARE, PUBLIC_SHARE = 0.4, 0.327
SHIFTS = ("none", "clusters", "clean", "both")
SCENARIOS = ("none", "clusters", "clean")


@dataclass(frozen=True)
class World:
    """All images with their scores (N, M), groups, whether they are clean, and their kinds as shifts know them and
    as the chooser sees them."""

    scores_nm: np.ndarray
    groups_n: np.ndarray
    clean_n: np.ndarray
    shift_kinds_n: np.ndarray
    seen_kinds_n: np.ndarray


@dataclass(frozen=True)
class Competition:
    """What the chooser sees, and (last) what decides."""

    seen: np.ndarray
    public_m: np.ndarray
    public_images: int
    private_images: int
    private_m: np.ndarray


# From a competition to two candidates.
Strategy = Callable[[World, Competition, Namespace, np.random.Generator], tuple[int, int]]


def made_up(images: int, candidates: int, generator: np.random.Generator) -> World:
    """Images of six kinds; recipes have skills for each kind and share mistakes; rules trade alarms for misses."""
    kinds_n = generator.integers(6, size=images)
    clean_n = generator.random(images) < 0.5
    hard_n = generator.normal(0, 1, images)
    scores_nm = np.empty((images, candidates))
    recipes = max(2, candidates // 5)
    skills_rk = generator.normal(0, 0.25, (recipes, 6))
    own_nr = generator.normal(0, 0.7, (images, recipes))
    for index in range(candidates):
        recipe, caution = index % recipes, generator.normal(0, 0.6)
        ease_n = 1.7 + skills_rk[recipe, kinds_n] - hard_n + own_nr[:, recipe] + generator.normal(0, 0.3, images)
        found_n = ease_n - 0.5 * caution > 0
        dice_n = np.clip(0.9 + 0.06 * ease_n - 0.12 + generator.normal(0, 0.03, images), 0, 1)
        scores_nm[:, index] = np.where(clean_n, (ease_n + caution > 0.2).astype(float), np.where(found_n, dice_n, 0.25))
    groups_n = np.arange(images) // 2
    shown_n = np.where(generator.random(images) < 0.8, kinds_n, generator.integers(6, size=images))
    return World(scores_nm, groups_n, clean_n, kinds_n, shown_n)


def from_folders(folders: list[Path]) -> World:
    """Every folder's maps, drawn by its own rules and eight others near them; kinds of images by k-means of simple
    statistics."""
    columns, opened = [], [open_evidence(folder) for folder in folders]
    table = opened[0].table
    for each in opened:
        assert each.table.image_ids == table.image_ids, f"{each.evidence.folder} is about other images"
        own, rules = [], resolve_rules(each.rules, each.table.num_classes)
        near = [_moved(rules, step, factor) for step, factor in product(THRESHOLD_STEPS, AREA_FACTORS)]
        for row, levels_chw in each.maps():
            true_chw = each.table.mask(row)
            own.append([_image_dice(levels_chw, each.gate(row), rule, true_chw) for rule in near])
        columns.append(np.array(own))
    features_nf = folder_features(table.paths, ImageReader(channels=1))
    groups_n = group_numbers(table.frame["group"].tolist(), len(table))
    kinds = [clusters(features_nf, count, seed) for count, seed in ((6, 1), (8, 0))]
    return World(np.concatenate(columns, axis=1), groups_n, ~np.any(table.has_class(), axis=1), *kinds)


def _moved(rules: Rules, step: float, factor: float) -> Rules:
    """Every pixel threshold moved by `step`, at most to the threshold above it; smallest areas times `factor`."""

    def moved(one: ClassRules) -> ClassRules:
        above = [value for value in (one.label_threshold, one.seed_threshold) if value is not None]
        threshold = min([one.pixel_threshold + step, 0.95, *above])
        return replace(one, pixel_threshold=max(threshold, 0.05), min_pixels=round(one.min_pixels * factor))

    return replace(rules, classes=tuple(map(moved, rules.classes)))


def _image_dice(levels_chw: np.ndarray, gate_c: np.ndarray | None, rules: Rules, true_chw: np.ndarray) -> float:
    return float(dice_pairs(pair_counts(draw_masks(levels_chw, rules, gate_c), true_chw)).mean())


def hold(world: World, shift: str, generator: np.random.Generator) -> Competition:
    """Split whole groups in three; a group's chance to be tested depends on its kind and on whether it is clean."""
    tilt_n = np.ones(len(world.groups_n))
    if shift in ("clusters", "both"):
        tilt_n *= np.exp(generator.normal(0, 1, world.shift_kinds_n.max() + 1))[world.shift_kinds_n]
    if shift in ("clean", "both"):
        tilt_n *= np.where(world.clean_n, np.exp(generator.normal(0, 0.8)), 1)
    num_groups = int(world.groups_n.max()) + 1
    tilt_g = np.bincount(world.groups_n, tilt_n) / np.bincount(world.groups_n)
    # The smallest keys are a draw without replacement by these weights (Efraimidis and Spirakis 2006).
    order_g = np.argsort(generator.exponential(size=num_groups) / tilt_g)
    tested = order_g[: round(TEST_SHARE * num_groups)]
    public = generator.permutation(tested)[: max(1, round(PUBLIC_SHARE * len(tested)))]
    is_test_n, is_public_n = np.isin(world.groups_n, tested), np.isin(world.groups_n, public)
    is_private_n = is_test_n & ~is_public_n
    return Competition(
        np.flatnonzero(~is_test_n),
        world.scores_nm[is_public_n].mean(axis=0),
        int(is_public_n.sum()),
        int(is_private_n.sum()),
        world.scores_nm[is_private_n].mean(axis=0),
    )


def _first_two(scores_m: np.ndarray) -> tuple[int, int]:
    first, second = np.argsort(-scores_m, kind="stable")[:2]
    return int(first), int(second)


def best_public(world: World, held: Competition, options: Namespace, generator: np.random.Generator) -> tuple[int, int]:
    return _first_two(held.public_m)


def best_cv(world: World, held: Competition, options: Namespace, generator: np.random.Generator) -> tuple[int, int]:
    return _first_two(world.scores_nm[held.seen].mean(axis=0))


def best_of_each(
    world: World, held: Competition, options: Namespace, generator: np.random.Generator
) -> tuple[int, int]:
    """The best cross-validated one, and the best public one of the others."""
    first, _ = best_cv(world, held, options, generator)
    one, other = best_public(world, held, options, generator)
    return first, one if one != first else other


def _ours(world: World, held: Competition, options: Namespace, knows_public: bool) -> tuple[int, int]:
    groups = group_scores(
        world.scores_nm[held.seen],
        world.groups_n[held.seen],
        world.clean_n[held.seen],
        None,
        world.seen_kinds_n[held.seen],
    )
    scenarios = [name for name in SCENARIOS if not impossible(name, groups)]
    draws = draw_outcomes(groups, PublicSplit(held.public_images, held.private_images), scenarios, options.draws)
    known_m = held.public_m if knows_public else np.full(len(held.public_m), np.nan)
    return choose_pair(look_ahead(draws, known_m, score_covariance(groups, held.public_images), options.drift)).pair


def ours_blind(world: World, held: Competition, options: Namespace, generator: np.random.Generator) -> tuple[int, int]:
    return _ours(world, held, options, knows_public=False)


def ours(world: World, held: Competition, options: Namespace, generator: np.random.Generator) -> tuple[int, int]:
    return _ours(world, held, options, knows_public=True)


def any_two(world: World, held: Competition, options: Namespace, generator: np.random.Generator) -> tuple[int, int]:
    first, second = generator.choice(len(held.public_m), 2, replace=False)
    return int(first), int(second)


def hindsight(world: World, held: Competition, options: Namespace, generator: np.random.Generator) -> tuple[int, int]:
    return _first_two(held.private_m)


OURS = "sever, with public scores"
STRATEGIES: dict[str, Strategy] = {
    "best public two": best_public,
    "best cross-validated two": best_cv,
    "best of each": best_of_each,
    "sever, without public scores": ours_blind,
    OURS: ours,
    "any two": any_two,
    "hindsight": hindsight,
}


def compete(options: Namespace) -> tuple[dict[str, np.ndarray], list[str], list[float]]:
    """Regret of each strategy in each competition, the shift of each, and public-private rank correlations."""
    generator = np.random.default_rng(options.seed)
    real = from_folders(options.folders) if options.folders else None
    regrets: dict[str, list[float]] = defaultdict(list)
    shifts, correlations = [], []
    for number in range(options.competitions):
        # Made-up candidates are new in each competition, so that the outcome is not about one set of them.
        world = real or made_up(options.images, options.candidates, generator)
        shifts.append(SHIFTS[number % len(SHIFTS)])
        held = hold(world, shifts[-1], generator)
        correlations.append(float(np.corrcoef(rankdata(held.public_m), rankdata(held.private_m))[0, 1]))
        for name, strategy in STRATEGIES.items():
            pair = strategy(world, held, options, generator)
            regrets[name].append(float(held.private_m.max() - held.private_m[list(pair)].max()))
    return {name: np.array(values) for name, values in regrets.items()}, shifts, correlations


def report(regrets: dict[str, np.ndarray], shifts: list[str], correlations: list[float]) -> None:
    """Regret in thousandths of a score, with that of `ours` beside it."""
    rows, kinds = [], list(dict.fromkeys(shifts))
    for name, values in regrets.items():
        gain = mean_interval(1000 * (values - regrets[OURS]))
        rows.append(
            (
                name,
                f"{1000 * values.mean():.2f}",
                *(f"{1000 * values[np.array(shifts) == shift].mean():.2f}" for shift in kinds),
                f"{gain.mean:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}]",
            )
        )
    print(f"{len(shifts)} competitions, public-private rank correlation {np.nanmean(correlations):.2f}")
    print("regret in thousandths: mean of all, and by what differs in the test set; what ours saves [95 %]")
    print_table(("two submissions by", "all", *kinds, "more than ours"), rows)


def leaderboard_2019(path: Path) -> None:
    """What 32 scored submissions of one author tell: one case, so no strategy is proven by it."""
    with path.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    public, private = (np.array([float(row[key]) for row in rows]) for key in ("public", "private"))
    families, order = [row["family"] for row in rows], np.argsort(-public, kind="stable")
    first = int(order[0])
    other = next(int(row) for row in order if families[row] != families[first])

    def better(*chosen: int) -> str:
        return f"{max(private[row] for row in chosen):.5f}"

    pairs = [private[[one, two]].max() for one in range(len(rows)) for two in range(one)]
    top = order[:19]
    print(f"\n{len(rows)} real submissions of 2019: the author's choice {CHOSEN_2019}, the best {private.max():.5f}")
    print_table(
        ("two submissions by", "private"),
        [
            ("best public two", better(*map(int, order[:2]))),
            ("best public, best public of another family", better(first, other)),
            ("any two, on average", f"{np.mean(pairs):.5f}"),
        ],
    )
    for name, part in (("all", order), ("the 19 best in public", top)):
        value = np.corrcoef(rankdata(public[part]), rankdata(private[part]))[0, 1]
        print(f"rank correlation of public and private, {name}: {value:.2f}")
    print(f"the 19 best public scores lie within {np.ptp(public[top]):.5f}; their private scores within", end=" ")
    print(f"{np.ptp(private[top]):.5f}")
    print(f"standard error of a difference of two public scores over {PUBLIC_IMAGES} images, if the score of an image")
    print("(mean Dice of its 4 classes) has this spread, and two submissions' scores correlate like this:")
    correlated = (0.8, 0.9, 0.95, 0.99)
    print_table(
        ("spread", *map(str, correlated)),
        [
            (f"{sd:.2f}", *(f"{sd * np.sqrt(2 * (1 - value) / PUBLIC_IMAGES):.5f}" for value in correlated))
            for sd in (0.10, 0.15, 0.20)
        ],
    )


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("folders", nargs="*", type=Path, help="evidence over the same images; none: made-up scores")
    parser.add_argument("--competitions", type=int, default=200)
    parser.add_argument("--draws", type=int, default=400, help="of each choice of ours")
    parser.add_argument("--drift", type=float, default=0.001)
    parser.add_argument("--images", type=int, default=1500, help="of a made-up competition, all three parts")
    parser.add_argument("--candidates", type=int, default=20, help="of a made-up competition")
    parser.add_argument("--seed", type=int, default=0)
    options = parse(parser, {"competitions": 4, "draws": 20, "images": 120, "candidates": 6})
    print(describe_machine())
    regrets, shifts, correlations = compete(options)
    report(regrets, shifts, correlations)
    if BOARD.is_file():
        leaderboard_2019(BOARD)
    print_ratio(
        float(regrets["best public two"].mean() / max(regrets[OURS].mean(), 1e-6)),
        "regret of the best public two over ours",
    )


if __name__ == "__main__":
    main()
