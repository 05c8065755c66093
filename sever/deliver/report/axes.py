"""From values to places in a chart: straight and logarithmic axes, and ticks at round numbers; knows no SVG."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """Values `low`..`high` lie at `start`..`end`, in SVG units. A logarithmic axis counts 1 + value, so that 0 fits."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Where a value lies; what is outside lies on the border."""
        low, high, value = (self._bent(each) for each in (self.low, self.high, value))
        share = (value - low) / (high - low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self) -> list[float]:
        if not self.logarithmic:
            return round_ticks(self.low, self.high)
        powers = [10.0**power for power in range(math.floor(math.log10(self.high)) + 1)]
        return [tick for tick in (0.0, *powers) if tick >= self.low]

    def _bent(self, value: float) -> float:
        return math.log1p(value) if self.logarithmic else value


def round_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten within low..high, roughly `about` of them."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def room_around(values: list[float], least: float = 0.02, highest: float = 1.0) -> tuple[float, float]:
    """Lower and upper end of an axis that holds scores with a little air, at least `least` long."""
    low, high = min(values), max(values)
    air = max(0.06 * (high - low), (least - (high - low)) / 2, 0.0)
    return max(0.0, low - air), min(highest, high + air) if high < highest else highest


def short(value: float) -> str:
    """A tick's label: 0.25, 3, 20k."""
    if value >= 1000:
        return f"{value / 1000:g}k"
    return f"{value:.4g}"
