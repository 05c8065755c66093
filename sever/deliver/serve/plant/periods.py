"""Marks that come again at one spacing: the circumference of the roll that makes them; pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOST_MARKS = 300


@dataclass(frozen=True)
class Period:
    """`marks` in a row, `spacing` metres apart, at `across` metres from the left edge."""

    spacing: float
    marks: int
    across: float
    last: float


def find_period(
    along: Sequence[float],
    across: Sequence[float],
    least_marks: int,
    most_metres: float,
    tolerance: float,
    ends_after: float = -math.inf,
) -> Period | None:
    """The longest chain of marks of equal spacing at one place across, whose last mark is not before `ends_after`; None
    where none has `least_marks`.

    A roll may miss a turn, but a chain has no gap. Of chains of one length the one that fits best wins. A spacing below
    four tolerances says nothing: any mark would lie near its grid.
    """
    order = np.argsort(along)[-MOST_MARKS:]
    marks, sides = np.asarray(along, float)[order], np.asarray(across, float)[order]
    best: tuple[int, float] = (least_marks - 1, 0.0)
    found = None
    for first in range(len(marks)):
        near = np.abs(sides - sides[first]) <= tolerance
        for second in np.flatnonzero(near & (marks > marks[first] + 4 * tolerance)):
            if marks[second] - marks[first] > most_metres:
                break
            chain = _follow(marks[near], float(marks[first]), float(marks[second]), tolerance)
            spacing = (chain[-1] - chain[0]) / (len(chain) - 1)
            off = float(np.abs(chain - chain[0] - spacing * np.arange(len(chain))).max())
            if chain[-1] >= ends_after and (len(chain), -off) > best:
                best = (len(chain), -off)
                found = Period(round(spacing, 4), len(chain), round(float(sides[first]), 4), float(chain[-1]))
    return found


def _follow(marks: np.ndarray, first: float, second: float, tolerance: float) -> np.ndarray:
    """The marks that go on from two, each one spacing after the last; the spacing is made better with each."""
    chain = [first, second]
    while True:
        spacing = (chain[-1] - chain[0]) / (len(chain) - 1)
        nearest = marks[np.argmin(np.abs(marks - chain[-1] - spacing))]
        if abs(nearest - chain[-1] - spacing) > tolerance or nearest <= chain[-1]:
            return np.array(chain)
        chain.append(float(nearest))
