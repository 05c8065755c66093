"""The values that are tried for each class; knows no scores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sever.decide.rules import ClassRules, Rules

PIXEL_THRESHOLDS = tuple(round(0.20 + 0.05 * step, 2) for step in range(13))
LABEL_THRESHOLDS = tuple(round(0.30 + 0.05 * step, 2) for step in range(14))
GATE_THRESHOLDS = (0.05, *(round(0.1 * step, 1) for step in range(1, 10)))
# The soft gates of 2019.
SOFT_FACTORS = (5.0, 10.0, 20.0)
# Smallest areas run from this share of an image to that, each about 1.4 times the one before: 8 to 20,000 pixels at
# the competition's size.
SMALLEST_SHARE, LARGEST_SHARE = 2e-5, 5e-2
# Stands for "no label threshold": every image passes.
NO_LABEL_THRESHOLD = -1.0


@dataclass(frozen=True)
class Gate:
    """One way to use the image classifier, for all classes alike."""

    kind: str
    factor: float = 1.0


@dataclass(frozen=True)
class Axes:
    """What is tried for one class, ascending; its default rules are among it."""

    pixel_thresholds: tuple[float, ...]
    label_thresholds: tuple[float, ...]
    min_pixels: tuple[int, ...]
    veto_thresholds: tuple[float, ...]

    def gate_thresholds(self, gate: Gate) -> tuple[float, ...]:
        return self.veto_thresholds if gate.kind == "veto" else (0.0,)


@dataclass(frozen=True)
class Grid:
    """What is tried: the axes of each class, and the ways to use a gate, the default way first."""

    classes: tuple[Axes, ...]
    gates: tuple[Gate, ...]

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Every pixel threshold of any class: the columns that the table needs."""
        return _ascending(value for axes in self.classes for value in axes.pixel_thresholds)


def rule_grid(default: Rules, image_pixels: int, has_gate: bool) -> Grid:
    """The grid around `default`; `image_pixels`: size of a usual image. Without a gate no use of one is tried."""
    areas = _areas(image_pixels)
    return Grid(tuple(_axes(each, areas, default) for each in default.classes), _gates(default, has_gate))


def default_gate(rules: Rules) -> Gate:
    return Gate(rules.gate_kind, rules.gate_factor if rules.gate_kind == "soft" else 1.0)


def start_values(each: ClassRules, default: Rules) -> tuple[float, float, int, float]:
    """A class's default as values on its axes: pixel, label, area, gate threshold (0 where the gate vetoes nothing)."""
    label = NO_LABEL_THRESHOLD if each.label_threshold is None else each.label_threshold
    return each.pixel_threshold, label, each.min_pixels, each.gate_threshold if default.gate_kind == "veto" else 0.0


def _axes(each: ClassRules, areas: tuple[int, ...], default: Rules) -> Axes:
    pixel, label, area, veto = start_values(each, default)
    highest = 1.0 if each.seed_threshold is None else each.seed_threshold  # a seed lies above the pixel threshold
    return Axes(
        _ascending((*(value for value in PIXEL_THRESHOLDS if value <= highest), pixel)),
        _ascending((NO_LABEL_THRESHOLD, *LABEL_THRESHOLDS, label)),
        tuple(sorted({*areas, area})),
        _ascending((0.0, *GATE_THRESHOLDS, veto)),
    )


def _gates(default: Rules, has_gate: bool) -> tuple[Gate, ...]:
    first = default_gate(default)
    # A map multiplied by its gate is another map: all counts of the table are about this one use of the gate.
    if not has_gate or first.kind == "multiply":
        return (first,)
    return tuple(dict.fromkeys((first, Gate("veto"), *(Gate("soft", factor) for factor in SOFT_FACTORS))))


def _areas(image_pixels: int) -> tuple[int, ...]:
    low, high = image_pixels * SMALLEST_SHARE, image_pixels * LARGEST_SHARE
    steps = int(np.ceil(2 * np.log2(high / low)))
    return tuple(sorted({0, *(_two_digits(low * 2 ** (step / 2)) for step in range(steps + 1))}))


def _two_digits(area: float) -> int:
    """Rounded to two digits, as a person would write it; at least 1."""
    rounded = int(area + 0.5)
    unit = 10 ** max(0, len(str(rounded)) - 2)
    return max(1, int(area / unit + 0.5) * unit)


def _ascending(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(sorted(set(values)))
