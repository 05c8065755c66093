"""The numbers of a report as one plain dictionary, ready for JSON; the page shows it and nothing else.

Knows no files and no HTML. What has nothing to average is None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sever.decide.bootstrap import Interval, column_intervals, group_numbers, mean_interval, paired_interval
from sever.decide.evidence_curves import (
    LEVEL_PROBS,
    Reliability,
    area_curve,
    area_grid,
    gate_confusion,
    rank_correlation,
    reliability,
)
from sever.decide.gate import soft_min_pixels
from sever.decide.metrics import Confusion, plain
from sever.decide.report.counts import THRESHOLDS_T, ReportCounts
from sever.errors import InputError

DRAWS, LEVEL = 1000, 0.95
GATE_FACTORS = (5.0, 10.0, 20.0)  # those of 2019
MOST_DOTS = 300  # in the picture of areas against the gate
MOST_ERRORS = 25  # rows of each list of errors
SAYS_YES = 0.5  # where a gate that has no threshold of its own counts as saying yes

Numbers = dict[str, Any]


def report_numbers(
    counted: ReportCounts, class_names: Sequence[str], groups: Sequence[Any], folds_n: np.ndarray | None
) -> Numbers:
    """All scores, curves and errors of the images in `counted`. `folds_n`: (N,), None where there are no folds."""
    dice_nc, empty_nc = counted.sheet.dice(), ~counted.sheet.is_positive()
    folds = _folds(dice_nc, folds_n)
    intervals = _intervals(dice_nc, groups)
    gains = _intervals(dice_nc - empty_nc, groups)
    classes = [
        {"name": name, "dice": intervals[index], "gain_over_all_empty": gains[index]}
        | {"dice_by_fold": [fold["dice_per_class"][index] for fold in folds]}
        | _class_numbers(counted, index)
        for index, name in enumerate(class_names)
    ]
    certainties_n = certainty_of_images(counted)
    return {
        "images": counted.sheet.num_images,
        "groups": int(group_numbers(groups, counted.sheet.num_images).max()) + 1,
        "interval": {"level": LEVEL, "draws": DRAWS},
        "scores": _scores(counted, groups),
        "classes": classes,
        "folds": folds,
        "any_defect": _confusion(counted.sheet.confusion()),
        "certainty": {"rank_correlation": plain(rank_correlation(certainties_n, dice_nc.mean(axis=1)))},
        "errors": _errors(counted, class_names),
    }


def certainty_of_images(counted: ReportCounts) -> np.ndarray:
    """(N,) mean certainty over the classes."""
    return np.stack(counted.certainties).mean(axis=1)


def interval_of(compute: Callable[[], Interval]) -> Numbers | None:
    """None where one group alone leaves nothing to draw from."""
    try:
        found = compute()
    except InputError:
        return None
    return {"mean": plain(found.mean), "low": plain(found.low), "high": plain(found.high)}


def _intervals(scores_nc: np.ndarray, groups: Sequence[Any]) -> list[Numbers]:
    """Of every class; a single group has means without limits."""
    try:
        found = column_intervals(scores_nc, groups, DRAWS, level=LEVEL)
    except InputError:
        found = [Interval(float(mean), math.nan, math.nan) for mean in scores_nc.mean(axis=0)]
    return [{"mean": plain(each.mean), "low": plain(each.low), "high": plain(each.high)} for each in found]


def _scores(counted: ReportCounts, groups: Sequence[Any]) -> Numbers:
    sheet, dice_nc = counted.sheet, counted.sheet.dice()
    empty_nc = (~sheet.is_positive()).astype(np.float64)
    return {
        "dice": plain(sheet.mean_dice()),
        "dice_interval": interval_of(lambda: mean_interval(dice_nc, groups, DRAWS, level=LEVEL)),
        "dice_all_empty": plain(sheet.empty_baseline()),
        "gain_over_all_empty": interval_of(lambda: paired_interval(dice_nc, empty_nc, groups, DRAWS, level=LEVEL)),
        "dice_where_present": plain(sheet.dice_positive()),
        "mean_iou": plain(sheet.mean_iou()),
        "mean_iou_with_background": plain(sheet.mean_iou(background=True)),
    }


def _folds(dice_nc: np.ndarray, folds_n: np.ndarray | None) -> list[Numbers]:
    """One row a fold; none where a single fold says nothing about spread."""
    numbers = [] if folds_n is None else np.unique(folds_n).tolist()
    rows = []
    for fold in numbers if len(numbers) > 1 else []:
        own = dice_nc[folds_n == fold]
        per_class = [float(value) for value in own.mean(axis=0)]
        rows.append({"fold": int(fold), "images": len(own), "dice": float(own.mean()), "dice_per_class": per_class})
    return rows


def _class_numbers(counted: ReportCounts, index: int) -> Numbers:
    sheet = counted.sheet
    positive_n = sheet.is_positive()[:, index]
    return {
        "images_with_it": int(positive_n.sum()),
        "dice_all_empty": float(1 - positive_n.mean()),
        "dice_where_present": plain(float(sheet.dice_positive_per_class()[index])),
        "iou": plain(float(sheet.iou()[index])),
        "confusion": _confusion(sheet.confusion_per_class()[index]),
        "threshold_curve": _threshold_curve(counted, index),
        "area_curve": _area_curve(counted, index),
        "calibration": _calibration(counted, index, positive_n),
        "gate": gate_numbers(counted, index, positive_n),
    }


def _confusion(confusion: Confusion) -> Numbers:
    counts = {"found": confusion.tp, "false_alarms": confusion.fp, "missed": confusion.fn, "clean": confusion.tn}
    there, called = confusion.tp + confusion.fn, confusion.tp + confusion.fp
    return counts | {
        "recall": confusion.tp / there if there else None,
        "precision": confusion.tp / called if called else None,
    }


def _threshold_curve(counted: ReportCounts, index: int) -> Numbers:
    ruled, bare = counted.threshold_sums[index] / counted.sheet.num_images
    return {
        "thresholds": THRESHOLDS_T.tolist(),
        "dice": _rounded(ruled),
        "dice_by_threshold_alone": _rounded(bare),
        "chosen": counted.rules.classes[index].pixel_threshold,
        "best": float(THRESHOLDS_T[int(np.argmax(ruled))]),
    }


def _area_curve(counted: ReportCounts, index: int) -> Numbers:
    predicted_n = np.array([counts.predicted[index] for counts in counted.open_counts])
    common_n = np.array([counts.intersection[index] for counts in counted.open_counts])
    true_n = np.array([counts.true[index] for counts in counted.open_counts])
    chosen = counted.rules.classes[index].min_pixels
    grid_m = area_grid(float(predicted_n.max()), chosen)
    curve_m = area_curve(predicted_n, common_n, true_n, _smallest_areas(counted, index, grid_m))
    best = int(np.argmax(curve_m))
    return {
        "min_pixels": [int(value) for value in grid_m],
        "dice": _rounded(curve_m),
        "chosen": chosen,
        "best": int(grid_m[best]),
    }


def _smallest_areas(counted: ReportCounts, index: int, min_pixels_m: np.ndarray) -> np.ndarray:
    """(M, N): what each `min_pixels` asks of each image; the soft gate asks more where it sees no defect."""
    gates_nc, factor = counted.gate_probs_nc, counted.rules.gate_factor
    if gates_nc is None or counted.rules.gate_kind != "soft":
        return np.broadcast_to(min_pixels_m[:, None], (len(min_pixels_m), counted.sheet.num_images))
    gate_n = gates_nc[:, index].astype(np.float64)
    return np.stack([soft_min_pixels(int(min_pixels), gate_n, factor) for min_pixels in min_pixels_m])


def _calibration(counted: ReportCounts, index: int, positive_n: np.ndarray) -> Numbers:
    everywhere, inside = counted.level_sums[index]
    highest_n = np.stack(counted.max_probs)[:, index]
    return {
        "pixels": _reliability(reliability(LEVEL_PROBS, everywhere, inside)),
        "images": _reliability(reliability(highest_n, np.ones(len(highest_n)), positive_n.astype(float))),
    }


def _reliability(found: Reliability) -> Numbers:
    return {
        "counts": found.counts_b.tolist(),
        "mean_probs": [plain(value) for value in found.mean_probs_b],
        "shares": [plain(value) for value in found.shares_b],
        "expected_calibration_error": plain(found.error),
    }


def gate_numbers(counted: ReportCounts, index: int, positive_n: np.ndarray) -> Numbers | None:
    """Gate and drawn areas of a class; None where nothing labels images."""
    gates_nc = counted.gate_probs_nc
    if gates_nc is None:
        return None
    each, kind = counted.rules.classes[index], counted.rules.gate_kind
    threshold = each.gate_threshold if kind == "veto" else SAYS_YES
    areas_n = np.array([pixels[index] for pixels in counted.bare_pixels])
    gate_n = gates_nc[:, index]
    # The smallest area is the last of the rules, so that this is what would be drawn without the gate.
    drawn_n = (areas_n > 0) & (areas_n >= each.min_pixels)
    counts = gate_confusion(drawn_n, gate_n >= threshold, positive_n)
    own = [] if kind != "soft" or counted.rules.gate_factor in GATE_FACTORS else [counted.rules.gate_factor]
    return {
        "kind": kind,
        "threshold": threshold,
        "factors": sorted([*GATE_FACTORS, *own]),
        "factor": counted.rules.gate_factor if kind == "soft" else None,
        "min_pixels": each.min_pixels or _small_defect(counted, index),
        "min_pixels_chosen": bool(each.min_pixels),
        "counts": counts.tolist(),
        "calibration": _reliability(reliability(gate_n, np.ones(len(gate_n)), positive_n.astype(float))),
        "dots": _dots(gate_n, areas_n, positive_n),
    }


def _small_defect(counted: ReportCounts, index: int) -> int:
    """The 2 % quantile of the true areas, in pixels: what a smallest area may be where none is chosen."""
    true_n = np.array([counts.true[index] for counts in counted.sheet.counts])
    return int(np.quantile(true_n[true_n > 0], 0.02)) if (true_n > 0).any() else 0


def _dots(gate_n: np.ndarray, areas_n: np.ndarray, positive_n: np.ndarray) -> list[tuple[float, int, bool]]:
    """Gate, drawn area and truth of the images where the class was drawn; evenly thinned where they are too many."""
    drawn = np.flatnonzero(areas_n)
    if len(drawn) > MOST_DOTS:
        drawn = drawn[np.linspace(0, len(drawn) - 1, MOST_DOTS).astype(int)]
    return [(round(float(gate_n[row]), 4), int(areas_n[row]), bool(positive_n[row])) for row in drawn]


def _errors(counted: ReportCounts, class_names: Sequence[str]) -> Numbers:
    """Missed defects and false alarms, (image, class) pairs, the largest first."""
    missed: list[Numbers] = []
    false_alarms: list[Numbers] = []
    gates_nc = counted.gate_probs_nc
    for row, counts in enumerate(counted.sheet.counts):
        for index, name in enumerate(class_names):
            true, predicted = int(counts.true[index]), int(counts.predicted[index])
            if bool(true) == bool(predicted):
                continue
            error = {
                "image_id": counted.sheet.image_ids[row],
                "class": name,
                "pixels": true or predicted,
                "max_prob": float(counted.max_probs[row][index]),
                "gate_prob": None if gates_nc is None else float(gates_nc[row, index]),
            }
            (missed if true else false_alarms).append(error)
    lists = {"missed": missed, "false_alarms": false_alarms}
    return {
        name: {"count": len(rows), "largest": sorted(rows, key=lambda error: -error["pixels"])[:MOST_ERRORS]}
        for name, rows in lists.items()
    }


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 6) for value in values]
