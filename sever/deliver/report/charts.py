"""The charts of a report, each from its part of the numbers."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from sever.deliver.report.axes import Axis, room_around, short
from sever.deliver.report.svg import Frame, Point, axes, dot, drawing, frame, line, text
from sever.deliver.report.words import called

Numbers = dict[str, Any]

ROW, LABELS, STRIP_WIDTH = 30, 112, 460


def interval_chart(numbers: Numbers) -> Markup:
    """Mean Dice a class with its interval, the folds as faint dots, and the all-empty score as a tick."""
    rows = [{"name": "mean of all", **_mean_row(numbers)}, *numbers["classes"]]
    values = [value for row in rows for value in _shown(row)]
    low, high = room_around(values)
    bottom = 14 + ROW * len(rows)
    shape = Frame(Axis(low, high, LABELS, STRIP_WIDTH - 16), Axis(0, 1, bottom, 8), STRIP_WIDTH, bottom + 40)
    parts = []
    for tick in shape.x.ticks():
        parts.append(line([(shape.x.at(tick), 8), (shape.x.at(tick), bottom)], "grid"))
        parts.append(text(shape.x.at(tick), bottom + 15, short(tick), "tick middle"))
    parts.append(text((LABELS + STRIP_WIDTH) / 2, bottom + 33, "mean Dice", "label middle"))
    for number, row in enumerate(rows):
        parts += _interval_row(shape, row, 14 + ROW * (number + 0.5))
    said = "; ".join(f"{called(row['name'])} {row['dice']['mean']:.4f}" for row in rows)
    return drawing(shape, f"Mean Dice with interval. {said}", parts)


def _mean_row(numbers: Numbers) -> Numbers:
    scores = numbers["scores"]
    interval = scores["dice_interval"] or {"mean": scores["dice"], "low": None, "high": None}
    folds = [fold["dice"] for fold in numbers["folds"]]
    return {"dice": interval, "dice_by_fold": folds, "dice_all_empty": scores["dice_all_empty"]}


def _shown(row: Numbers) -> list[float]:
    given = [*row["dice"].values(), *row["dice_by_fold"], row["dice_all_empty"]]
    return [value for value in given if value is not None]


def _interval_row(shape: Frame, row: Numbers, y: float) -> list[str]:
    x, dice = shape.x, row["dice"]
    empty = x.at(row["dice_all_empty"])
    parts = [
        text(LABELS - 12, y + 4, _cut(called(row["name"]), 16), "name end"),
        line([(empty, y - 9), (empty, y + 9)], "baseline"),
    ]
    parts += [dot(x.at(value), y, "fold", 3) for value in row["dice_by_fold"]]
    if dice["low"] is not None:
        parts.append(line([(x.at(dice["low"]), y), (x.at(dice["high"]), y)], "interval"))
    return [*parts, dot(x.at(dice["mean"]), y, "mark", 4.5, f"{called(row['name'])}: {dice['mean']:.4f}")]


def threshold_chart(curve: Numbers, name: str) -> Markup:
    """Dice against the pixel threshold: with all other rules as chosen, and by the threshold alone."""
    ruled = list(zip(curve["thresholds"], curve["dice"], strict=True))
    bare = list(zip(curve["thresholds"], curve["dice_by_threshold_alone"], strict=True))
    shape = frame((0, 1), room_around([value for _, value in ruled + bare]))
    parts = [axes(shape, "pixel threshold", "mean Dice"), line(shape.place(bare), "curve second")]
    parts += [line(shape.place(ruled), "curve"), *_chosen(shape, ruled, curve["chosen"])]
    said = f"{called(name)}: Dice against pixel threshold, chosen {curve['chosen']:g}, highest at {curve['best']:g}."
    return drawing(shape, said, parts)


def area_chart(curve: Numbers, name: str) -> Markup:
    """Dice against the smallest area, on a logarithmic axis."""
    points = list(zip(curve["min_pixels"], curve["dice"], strict=True))
    shape = frame((0, max(curve["min_pixels"])), room_around(curve["dice"]), log_x=True)
    parts = [axes(shape, "smallest area, pixels", "mean Dice"), line(shape.place(points), "curve")]
    parts += _chosen(shape, points, curve["chosen"])
    said = f"{called(name)}: Dice against smallest area, chosen {curve['chosen']} pixels, highest at {curve['best']}."
    return drawing(shape, said, parts)


def _chosen(shape: Frame, points: list[Point], chosen: float) -> list[str]:
    """A line where the rules stand, and a dot where it meets the curve."""
    x, y = shape.x.at(chosen), shape.y.at(_between(points, chosen))
    return [line([(x, shape.y.start), (x, shape.y.end)], "chosen"), dot(x, y, "mark", 4.5, f"chosen: {chosen:g}")]


def _between(points: list[Point], x: float) -> float:
    """The curve's height at x, straight between its points."""
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 <= x <= x1:
            return y0 + (y1 - y0) * ((x - x0) / (x1 - x0) if x1 > x0 else 0)
    return points[0][1] if x < points[0][0] else points[-1][1]


def reliability_chart(calibration: Numbers, name: str) -> Markup:
    """Share that is true against probability; the larger a dot, the more cases stand behind it."""
    shape = frame((0, 1), (0, 1))
    parts = [axes(shape, "probability", "share that is true"), line(shape.place([(0, 0), (1, 1)]), "ideal")]
    for kind, series in (("second", "images"), ("", "pixels")):
        bins = calibration[series]
        cases = [case for case in zip(bins["mean_probs"], bins["shares"], bins["counts"], strict=True) if case[2]]
        parts.append(line(shape.place((prob, share) for prob, share, _ in cases), f"curve {kind}"))
        most = max((count for *_, count in cases), default=1)
        for prob, share, count in cases:
            radius = 2 + 3.5 * math.log1p(count) / math.log1p(most)
            hint = f"{series}: {count} at {prob:.3f}, of them true {share:.3f}"
            parts.append(dot(shape.x.at(prob), shape.y.at(share), f"mark {kind}", radius, hint))
    return drawing(shape, f"{called(name)}: reliability of pixel probabilities and of each image's highest.", parts)


def gate_chart(gate: Numbers, name: str) -> Markup:
    """Smallest area against the gate's probability, t0 c - t0 (c - 1) p, and the areas that were drawn."""
    t0, factors = gate["min_pixels"], gate["factors"]
    areas = [area for _, area, _ in gate["dots"]] + [t0, max(factors) * t0, 10]
    shape = frame((0, 1), (min(areas) / 2, max(areas) * 1.5), log_y=True)
    parts = [axes(shape, "gate says", "drawn area, pixels")]
    for prob, area, is_there in sorted(gate["dots"], key=lambda case: case[2]):
        hint = f"gate {prob:.3f}, {area} pixels, {'truly there' if is_there else 'not there'}"
        parts.append(dot(shape.x.at(prob), shape.y.at(area), "there" if is_there else "absent", 3, hint))
    for factor in factors if t0 else []:
        curve = [(step / 40, t0 * factor - t0 * (factor - 1) * step / 40) for step in range(41)]
        parts.append(line(shape.place(curve), "curve" if factor == gate["factor"] else "curve second"))
        x, y = curve[1]  # where they lie furthest apart
        parts.append(text(shape.x.at(x), shape.y.at(y) - 4, f"c = {factor:g}", "tick haloed"))
    if gate["kind"] == "veto":
        x = shape.x.at(gate["threshold"])
        parts.append(line([(x, shape.y.start), (x, shape.y.end)], "chosen"))
    said = (
        f"{called(name)}: area drawn without the gate against what the gate says, and smallest areas of the soft gate."
    )
    return drawing(shape, said, parts)


def _cut(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
