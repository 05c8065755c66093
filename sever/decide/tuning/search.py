"""The search: every combination of the grid scored from the table, and the middle of a plateau chosen.

A combination counts for no more than its own score and no more than the mean over its neighbours in the grid, so
that a broad plateau beats a narrow peak, which the next images would not show again. Cross-fitted: besides the
rules from all folds there are those that each fold would have got from the others. Knows no intervals.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter

from sever.decide.rules import ClassRules, Rules
from sever.decide.tuning.grid import NO_LABEL_THRESHOLD, Axes, Gate, Grid, default_gate, start_values
from sever.decide.tuning.table import RuleTable

# Neighbours to either side: of the pixel threshold (0.1), label threshold, smallest area (to half and double), veto.
NEIGHBOURS = (2, 1, 2, 1)
# Mean Dice below which two settings count as equal: rounding, no evidence.
EQUAL = 1e-9


@dataclass(frozen=True)
class Tuning:
    """The rules found on all folds, and by fold those found on all others."""

    found: Rules
    by_fold: dict[int, Rules]


@dataclass(frozen=True)
class _ClassScores:
    """One class under one gate: sums of Dice, each image by its weight, over each fold, (F, T, L, A, G), in the order
    of `axes`."""

    sums: np.ndarray
    axes: tuple[tuple[float, ...], ...]
    start: tuple[int, ...]  # the default rules' place on the axes


def tune(
    table: RuleTable, folds_n: np.ndarray, default: Rules, grid: Grid, frozen: Collection[int] = frozenset()
) -> Tuning:
    """Choose rules on all folds, and for each fold on the others. Classes in `frozen` keep their default rules.

    A class that no image of the choosing folds shows keeps its default too: what is lost by a strict rule can't be
    seen there. Work and memory grow with folds, classes and combinations, hardly with images.
    """
    folds = np.unique(folds_n)
    assert len(folds) >= 2, "cross-fitting needs two folds"
    gates = tuple(gate for gate in grid.gates if not frozen or _leaves_default(gate, default))
    scores = {gate: _all_class_scores(table, folds_n, default, grid, gate) for gate in gates}
    images_f = np.array([table.counts_n[folds_n == fold].sum() for fold in folds])
    positive_fc = np.stack([(table.true_nc[folds_n == fold] > 0).sum(axis=0) for fold in folds])

    def choose(chosen_f: np.ndarray) -> Rules:
        stays = {*frozen, *np.flatnonzero(positive_fc[chosen_f].sum(axis=0) == 0).tolist()}
        return _choose(scores, chosen_f, float(images_f[chosen_f].sum()), default, stays)

    everything = np.ones(len(folds), dtype=bool)
    by_fold = {int(fold): choose(folds != fold) for fold in folds}
    return Tuning(choose(everything), by_fold)


def plateau(scores: np.ndarray) -> np.ndarray:
    """The lower of a setting's own score and the mean over its neighbourhood, (T, L, A, G); edges repeat."""
    sizes = tuple(2 * each + 1 for each in NEIGHBOURS)
    return np.asarray(np.minimum(scores, uniform_filter(scores, sizes, mode="nearest")))


def curves(
    table: RuleTable, folds_n: np.ndarray, default: Rules, grid: Grid, rules: Rules, index: int
) -> dict[str, list[tuple[float, float, float]]]:
    """How class `index` scores when one value of `rules` is moved: (value, mean Dice, that of its plateau) by name."""
    gate = default_gate(rules)
    scores = _class_scores(table, folds_n, default, grid.classes[index], gate, index)
    mean = scores.sums.sum(axis=0) / table.counts_n.sum()
    robust = plateau(mean)
    here = _place(scores.axes, start_values(rules.classes[index], rules))
    names = ("pixel_threshold", "label_threshold", "min_pixels", "gate_threshold")
    found = {}
    for axis, (name, values) in enumerate(zip(names, scores.axes, strict=True)):
        line: tuple[Any, ...] = (*here[:axis], slice(None), *here[axis + 1 :])
        rows = zip(values, mean[line].tolist(), robust[line].tolist(), strict=True)
        found[name] = [row for row in rows if row[0] != NO_LABEL_THRESHOLD]
    return found


def _leaves_default(gate: Gate, default: Rules) -> bool:
    """Whether a class can keep its default rules beside others under this gate; a veto at 0 vetoes nothing."""
    return gate == default_gate(default) or (default.gate_kind == "none" and gate.kind == "veto")


def _choose(
    scores: dict[Gate, list[_ClassScores]],
    chosen_f: np.ndarray,
    images: float,
    default: Rules,
    stays: Collection[int],
) -> Rules:
    """The best gate, of equals the default one, with each class's best values under it."""
    best: tuple[float, Rules] | None = None
    for gate, classes in scores.items():
        total, rules = 0.0, []
        for index, (each, start) in enumerate(zip(classes, default.classes, strict=True)):
            robust = plateau(each.sums[chosen_f].sum(axis=0) / images)
            place = each.start if index in stays else _best_place(robust, each.start)
            total += float(robust[place])
            rules.append(_with_values(start, each, place, gate))
        if best is None or total > best[0] + EQUAL:
            factor = gate.factor if gate.kind == "soft" else default.gate_factor
            best = total, replace(default, classes=tuple(rules), gate_kind=gate.kind, gate_factor=factor)
    assert best is not None
    return best[1]


def _best_place(robust: np.ndarray, start: tuple[int, ...]) -> tuple[int, ...]:
    """Where the score is highest; of equals the one with the fewest steps from the default."""
    places = np.argwhere(robust >= robust.max() - EQUAL)
    nearest = np.abs(places - np.array(start)).sum(axis=1).argmin()
    return tuple(int(at) for at in places[nearest])


def _with_values(start: ClassRules, scores: _ClassScores, place: tuple[int, ...], gate: Gate) -> ClassRules:
    pixel, label, area, veto = (values[at] for values, at in zip(scores.axes, place, strict=True))
    return replace(
        start,
        pixel_threshold=pixel,
        label_threshold=label if label > pixel else None,  # below it, it asks for nothing
        min_pixels=int(area),
        gate_threshold=veto if gate.kind == "veto" else start.gate_threshold,
    )


def _all_class_scores(
    table: RuleTable, folds_n: np.ndarray, default: Rules, grid: Grid, gate: Gate
) -> list[_ClassScores]:
    classes = enumerate(grid.classes)
    return [_class_scores(table, folds_n, default, axes, gate, index) for index, axes in classes]


def _class_scores(
    table: RuleTable, folds_n: np.ndarray, default: Rules, axes: Axes, gate: Gate, index: int
) -> _ClassScores:
    veto = axes.gate_thresholds(gate)
    lines = (axes.pixel_thresholds, axes.label_thresholds, tuple(map(float, axes.min_pixels)), veto)
    start = start_values(default.classes[index], default)
    fold_numbers = np.unique(folds_n, return_inverse=True)[1]
    labels = np.searchsorted(np.asarray(axes.label_thresholds, np.float32), table.top_nc[:, index], side="left")
    passed = np.zeros(table.num_images, dtype=np.int64) + len(veto)
    if gate.kind == "veto" and table.gate_nc is not None:
        passed = np.searchsorted(np.asarray(veto, np.float32), table.gate_nc[:, index], side="right")
    gated = replace(default, gate_kind=gate.kind, gate_factor=gate.factor)
    required_na = np.stack([table.required_pixels(index, area, gated) for area in axes.min_pixels], axis=1)
    empty = table.empty_dice(index) * table.counts_n
    empty_f = np.bincount(fold_numbers, empty)
    sums = np.empty((len(empty_f), *map(len, lines)))
    for at, threshold in enumerate(axes.pixel_thresholds):
        pixels = table.predicted_tnc[table.thresholds.index(threshold), :, index]
        areas = (pixels[:, None] >= required_na).sum(axis=1)
        gain = table.drawn_dice(index, threshold) * table.counts_n - empty
        sums[:, at] = _sums_of_kept(gain, (fold_numbers, labels, areas, passed), sums[:, at].shape)
    sums += empty_f[:, None, None, None, None]
    return _ClassScores(sums, lines, _place(lines, (*start[:3], start[3] if gate.kind == "veto" else 0.0)))


def _sums_of_kept(gain_n: np.ndarray, passed: tuple[np.ndarray, ...], shape: tuple[int, ...]) -> np.ndarray:
    """Sums of `gain` by fold over the images that pass each combination, `shape` (F, L, A, G).

    An image that passes the first k values of an axis is kept by each of them: so count every image once, where it
    just passes, and sum from the strict end.
    """
    padded = (shape[0], *(length + 1 for length in shape[1:]))
    flat = np.ravel_multi_index(passed, padded)
    sums = np.bincount(flat, gain_n, int(np.prod(padded))).reshape(padded)
    for axis in range(1, len(padded)):
        sums = np.flip(np.cumsum(np.flip(sums, axis), axis=axis), axis)
    return np.asarray(sums[:, 1:, 1:, 1:])


def _place(axes: tuple[tuple[float, ...], ...], values: tuple[float, ...]) -> tuple[int, ...]:
    return tuple(line.index(value) for line, value in zip(axes, values, strict=True))
