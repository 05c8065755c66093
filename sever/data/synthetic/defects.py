"""The first two defect families, and the patch that all four families draw: pits, and thin vertical marks.

A drawn patch says how grey levels change (`grey * gain + add`); where it says gain 1 and add 0, nothing changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sever.data.synthetic.noise import Array, field, profile, smoothstep

SMALLEST = 5  # pixels: a smaller box leaves nothing between its faded borders


@dataclass
class Patch:
    """A defect on its own small canvas."""

    gain: Array
    add: Array

    @classmethod
    def empty(cls, height: int, width: int) -> Patch:
        return cls(np.ones((height, width), np.float32), np.zeros((height, width), np.float32))


def box(area: float, ratio: float, unit: float, height: int, pencil: float = 4.0) -> tuple[int, int]:
    """Rows and columns of the box to draw in, `ratio` times taller than wide and no taller than the image, so that a
    label that keeps `pencil` original pixels off it covers about `area` pixels."""
    tall = min(np.sqrt(area * ratio), height)
    wide = area / tall
    reserve = 2 * pencil * unit
    rows = tall if tall >= height else tall - reserve
    return round(max(8 * unit, SMALLEST, rows)), round(max(7 * unit, SMALLEST, wide - reserve))


def pits(rng: np.random.Generator, area: float, unit: float, height: int, style: float) -> Patch:
    """Class 1: a few dark pits drawn out along the rolling direction, with raised bright lips."""
    h, w = box(area * 1.15, rng.uniform(1.8, 4.5), unit, height)
    patch = Patch.empty(h, w)
    count = max(1, round(area / (500 * unit * unit) * rng.uniform(0.5, 1.3)))
    depth = rng.uniform(0.2, 0.65)
    lip = rng.uniform(0, 140) if rng.random() < 0.6 else 0.0
    y = np.arange(h, dtype=np.float32)[:, None]
    x = np.arange(w, dtype=np.float32)[None, :]
    dark = np.zeros((h, w), np.float32)
    bright = np.zeros((h, w), np.float32)
    for index in range(count):
        ry = min(0.47 * h, rng.lognormal(2.4, 0.45) * unit) if count > 1 else 0.4 * h
        rx = min(0.4 * w, rng.lognormal(1.0, 0.4) * unit)
        cy = rng.uniform(ry, h - ry) if index or count > 1 else h / 2
        cx = rng.uniform(rx, w - rx) if w > 2 * rx else w / 2
        bend = profile(rng, h, 14 * unit)[:, None] * np.float32(0.35 * rx)
        distance = ((x - cx - bend) / rx) ** 2 + ((y - cy) / ry) ** 2
        dark = np.maximum(dark, np.exp(-(np.minimum(distance, 9) ** rng.uniform(0.8, 1.6))))
        top = cy - rng.choice([-0.7, 0.7]) * ry
        bright = np.maximum(
            bright, np.exp(-(((x - cx - bend) / (0.5 * rx + 0.8 * unit)) ** 2) - ((y - top) / (0.3 * ry)) ** 2)
        )
    texture = np.clip(0.8 + 0.5 * field(rng, h, w, 2.0 * unit, 1.2 * unit), 0, 1.5)
    patch.gain -= np.float32(depth) * np.minimum(dark * texture, 1)
    patch.add += np.float32(lip) * bright * np.clip(0.6 + 0.8 * field(rng, h, w, 1.2 * unit, 1.0 * unit), 0, 1.6)
    return _fade_border(patch)


def thin_marks(rng: np.random.Generator, area: float, unit: float, height: int, style: float) -> Patch:
    """Class 2: one or two thin dark lines along the rolling direction, slightly bent, with a bright flank."""
    h, w = box(area, rng.uniform(5, 14), unit, height)
    patch = Patch.empty(h, w)
    x = np.arange(w, dtype=np.float32)[None, :]
    y = np.linspace(0, 1, h, dtype=np.float32)[:, None]
    ends = smoothstep(0, 0.12, y) * smoothstep(1, 0.85, y)
    lines = 1 if w < 9 * unit else int(rng.integers(1, 4))
    for _ in range(lines):
        centre = rng.uniform(0.3, 0.7) * w + profile(rng, h, 45 * unit)[:, None] * np.float32(0.13 * w)
        thick = np.float32(rng.uniform(0.7, 2.0) * unit)
        strength = np.clip(0.75 + 0.4 * field(rng, h, 1, 14 * unit, 0.0), 0.1, 1.3) * ends
        line = np.exp(-0.5 * ((x - centre) / thick) ** 2) * strength
        patch.gain -= np.float32(rng.uniform(0.2, 0.5)) * line
        flank = np.exp(-0.5 * ((x - centre - rng.choice([-2.2, 2.2]) * thick) / thick) ** 2) * strength
        patch.add += np.float32(rng.uniform(0, 45)) * flank
    np.clip(patch.gain, 0.15, 1, out=patch.gain)
    return _fade_border(patch)


def _fade_border(patch: Patch) -> Patch:
    """Leaves the last pixels at the patch's left and right borders unchanged, so that no box shows."""
    w = patch.gain.shape[1]
    x = np.arange(w, dtype=np.float32)
    fade = np.minimum(1, np.minimum(x, w - 1 - x) / 2)[None, :]
    patch.gain = 1 - (1 - patch.gain) * fade
    patch.add *= fade
    return patch
