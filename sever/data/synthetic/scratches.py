"""Class 3: lines along the rolling direction, oblique scratches, speckled columns, rolled-in patches, flakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from sever.data.synthetic.defects import Patch, box
from sever.data.synthetic.noise import Array, field, fractal, profile, ragged_blob, smoothstep, speckle, stroke


def _reach(rng: np.random.Generator, h: int, full: bool) -> Array:
    """(h, 1) 1 where a line is there: all along, or fading out at one end."""
    y = np.linspace(0, 1, h, dtype=np.float32)[:, None]
    if full or rng.random() < 0.5:
        return np.ones_like(y)
    stop, soft = rng.uniform(0.3, 0.95), rng.uniform(0.02, 0.3)
    reach = smoothstep(stop + soft, stop, y)
    return reach if rng.random() < 0.75 else reach[::-1]


def dark_lines(rng: np.random.Generator, area: float, unit: float, height: int) -> Patch:
    """Straight dark lines, often several side by side, from the top border down to somewhere."""
    h, w = box(area, 40.0, unit, height)
    patch = Patch.empty(h, w)
    x = np.arange(w, dtype=np.float32)[None, :]
    y = np.linspace(0, 1, h, dtype=np.float32)[:, None]
    count = max(1, min(14, round(w / (rng.uniform(7, 26) * unit))))
    slope = np.float32(rng.normal(0, 0.15) * min(w, 20 * unit))
    contrast = rng.uniform(0.18, 0.8)
    fine = np.clip(1 + 0.35 * field(rng, h, w, 25 * unit, 0.7 * unit), 0.2, 1.6)
    for index in range(count):
        centre = np.float32(w * (index + rng.uniform(0.25, 0.75)) / count) + slope * (y - 0.5)
        half = np.float32(min(0.3 * w, rng.lognormal(0.45, 0.5) * unit))
        edge = np.abs(x - centre) - half * np.clip(1 + 0.3 * profile(rng, h, 40 * unit)[:, None], 0.3, 2)
        line = smoothstep(0.9 * unit, -0.6 * unit, edge) * _reach(rng, h, index == 0)
        patch.gain *= 1 - np.float32(contrast * rng.uniform(0.5, 1.0)) * line
        if rng.random() < 0.25:
            glints = np.maximum(0, field(rng, h, w, 2 * unit, 0.7 * unit) - 2.0)
            patch.add += np.float32(90) * glints * line
    patch.gain = np.clip(1 - (1 - patch.gain) * fine, 0.1, 1)
    return patch


def bright_lines(rng: np.random.Generator, area: float, unit: float, height: int) -> Patch:
    """Bright lines with ragged flanks."""
    h, w = box(area, 40.0, unit, height)
    patch = Patch.empty(h, w)
    x = np.arange(w, dtype=np.float32)[None, :]
    count = max(1, min(6, round(w / (rng.uniform(12, 30) * unit))))
    for index in range(count):
        wander = profile(rng, h, 12 * unit)[:, None] * np.float32(0.5 * unit)
        centre = np.float32(w * (index + 0.5) / count) + wander
        half = np.float32(rng.uniform(0.8, 3.0) * unit) * np.clip(1 + 0.4 * profile(rng, h, 5 * unit)[:, None], 0.2, 2)
        offset = np.abs(x - centre)
        line = smoothstep(0.8 * unit, -0.8 * unit, offset - half)
        hollow = 1 - rng.uniform(0, 0.5) * smoothstep(0.6, 0.0, offset / half)
        grainy = np.clip(0.8 + 0.4 * field(rng, h, w, 2.5 * unit, 0.9 * unit), 0.2, 1.6)
        patch.add += np.float32(rng.uniform(25, 110)) * line * hollow * grainy * _reach(rng, h, index == 0)
    return patch


def speckled_columns(rng: np.random.Generator, area: float, unit: float, height: int) -> Patch:
    """Columns of dark smears with horizontal whiskers, among bright specks."""
    h, w = box(area, rng.uniform(1.5, 4), unit, height)
    x = np.arange(w, dtype=np.float32)
    columns = np.zeros(w, np.float32)
    for _ in range(max(1, round(w / (35 * unit)))):
        columns = np.maximum(
            columns, np.exp(-0.5 * ((x - rng.uniform(0.15, 0.85) * w) / rng.uniform(3, 7) / unit) ** 2)
        )
    whiskers = 0.75 * field(rng, h, w, 1.3 * unit, 12 * unit) + 0.5 * field(rng, h, w, 9 * unit, 1.6 * unit)
    level = 2.3 * columns[None, :] + whiskers + 0.7 * field(rng, h, 1, 16 * unit, 0.0)
    level += np.float32(0.3) * field(rng, h, w, 0.7 * unit, 1.0 * unit)
    level *= np.sqrt(np.hanning(w + 2)[1:-1]).astype(np.float32)[None, :]
    low = rng.uniform(1.1, 1.6)
    patch = Patch.empty(h, w)
    patch.gain -= np.float32(rng.uniform(0.25, 0.75)) * smoothstep(low, low + rng.uniform(0.6, 1.6), level)
    specks = np.maximum(0, field(rng, h, w, 0.9 * unit, 1.0 * unit) + 1.2 * columns[None, :] - 2.6)
    patch.add += np.float32(rng.uniform(20, 90)) * np.minimum(specks, 1.5)
    return patch


def oblique_scratches(rng: np.random.Generator, area: float, unit: float, height: int) -> Patch:
    """A bundle of bright slanting cuts, bent alike, with dark flanks."""
    h, w = box(area * 1.7, rng.uniform(0.25, 0.9), unit, height)
    patch = Patch.empty(h, w)
    bright, dark = np.zeros((h, w), np.float32), np.zeros((h, w), np.float32)
    down, bow = rng.uniform(0.15, 0.8) * rng.choice([-1, 1]), rng.uniform(-0.15, 0.15)
    for _ in range(max(2, min(14, round(area / (1100 * unit * unit))))):
        length = rng.uniform(0.2, 0.7)
        t = np.linspace(0, 1, 9)
        px = (rng.uniform(0.04, 0.96 - length) + t * length) * w
        climb = down * (t - 0.5) * length + bow * t * (1 - t)
        py = np.clip(rng.uniform(0.2, 0.8) + climb, 0.03, 0.97) * h
        points = list(zip(px, py, strict=True))
        stroke(bright, points, rng.choice([0.6, 1.0, 1.6, 3.0]) * unit, rng.uniform(0.4, 1))
        shifted = [(a, b + rng.uniform(1.5, 3.5) * unit) for a, b in points]
        stroke(dark, shifted, rng.uniform(0.6, 3) * unit, rng.uniform(0.2, 0.7))
    broken = np.clip(0.75 + 0.6 * field(rng, h, w, 1.5 * unit, 5 * unit), 0, 1.5)
    patch.gain -= np.float32(rng.uniform(0.2, 0.7)) * cv2.GaussianBlur(dark, (0, 0), 0.9 * unit) * broken
    np.clip(patch.gain, 0.2, 1, out=patch.gain)
    patch.add += np.float32(rng.uniform(60, 220)) * bright * broken
    return patch


def rolled_in_patch(rng: np.random.Generator, area: float, unit: float, height: int) -> Patch:
    """A ragged spot where something was rolled in: dark crumbs, a few bright ones, hardly a border."""
    h, w = box(area * 1.25, rng.uniform(0.4, 1.6), unit, height)
    inside = smoothstep(0.02, 0.35, ragged_blob(rng, h, w, 0.25))
    crumbs = field(rng, h, w, 2.6 * unit, 1.7 * unit) + 0.7 * field(rng, h, w, 9 * unit, 9 * unit)
    crumbs += np.float32(0.5) * field(rng, h, w, 0.8 * unit, 1.0 * unit)
    patch = Patch.empty(h, w)
    patch.gain -= np.float32(rng.uniform(0.15, 0.6)) * smoothstep(-0.2, rng.uniform(1.0, 2.4), crumbs) * inside
    patch.gain -= np.float32(rng.uniform(0.03, 0.15)) * inside
    bright = np.maximum(0, field(rng, h, w, 1.2 * unit, 1.6 * unit) + 0.5 * crumbs - 1.6)
    patch.add += np.float32(rng.uniform(0, 110)) * np.minimum(bright, 1.5) * inside
    return patch


def crescent(rng: np.random.Generator, area: float, unit: float, height: int) -> Patch:
    """An arched lap: a thin dark lip with a lit upper flank, and a faint print beside it."""
    h, w = box(area * 1.3, rng.uniform(0.2, 0.5), unit, height)
    patch = Patch.empty(h, w)
    x = np.linspace(-1, 1, w, dtype=np.float32)[None, :]
    y = np.linspace(0, 1, h, dtype=np.float32)[:, None]
    lip = 0.3 + 0.5 * x * x * rng.choice([0.4, 1.0]) + 0.03 * profile(rng, w, 12 * unit)[None, :]
    lip = lip if rng.random() < 0.5 else 1 - lip
    fade = smoothstep(1.0, 0.75, np.abs(x))
    below = (y - lip) * h / np.float32(unit)
    broken = np.clip(0.8 + 0.4 * field(rng, h, w, 2 * unit, 6 * unit), 0, 1.4)
    patch.gain -= np.float32(rng.uniform(0.2, 0.5)) * np.exp(-0.5 * (below / 1.6) ** 2) * fade * broken
    glow = np.exp(-0.5 * ((below + 4) / 2.5) ** 2) * np.maximum(0, 0.3 + field(rng, h, w, 1.3 * unit, 1.5 * unit))
    patch.add += np.float32(rng.uniform(10, 60)) * glow * fade
    border = smoothstep(0, 0.15, y) * smoothstep(1, 0.85, y)
    patch.gain -= np.float32(0.07) * smoothstep(0, 4, below) * smoothstep(30, 8, below) * fade * border
    return patch


def bright_flakes(rng: np.random.Generator, area: float, unit: float, height: int) -> Patch:
    """A loose cloud of small white flakes, each with a trace of shade."""
    h, w = box(area * 1.2, rng.uniform(0.4, 2.5), unit, height)
    patch = Patch.empty(h, w)
    count = int(np.clip(area / (70 * unit * unit), 5, 160))
    xy = np.clip(rng.normal(0.5, 0.19, (count, 2)), 0.04, 0.96) * (w, h)
    radii = np.column_stack([rng.uniform(0.8, 2.2, count), rng.uniform(1.0, 3.2, count)]) * unit
    level = rng.uniform(50, 190)
    speckle(rng, patch.add, xy, radii, rng.uniform(0.5, 1.2, count) * level)
    patch.add = cv2.GaussianBlur(patch.add, (0, 0), 0.7 * unit)
    shade = np.zeros((h, w), np.float32)
    speckle(rng, shade, xy + np.array([1.5 * unit, 1.5 * unit]), radii, np.full(count, 0.2))
    patch.gain -= cv2.GaussianBlur(shade, (0, 0), 0.9 * unit)
    return patch


def smear(rng: np.random.Generator, area: float, unit: float, height: int) -> Patch:
    """A faint rough smear with soft borders, dark or light; hard to see."""
    h, w = box(area * 1.3, rng.uniform(0.5, 5), unit, height)
    inside = smoothstep(0.0, 0.5, ragged_blob(rng, h, w, 0.18))
    rough = np.clip(0.7 + 0.5 * fractal(rng, h, w, 14 * unit, 4 * unit, 3, 0.7), 0, 1.6)
    patch = Patch.empty(h, w)
    tone = rng.uniform(0.1, 0.3) * (1 if rng.random() < 0.75 else -1)
    patch.gain -= np.float32(tone) * inside * rough
    return patch


@dataclass(frozen=True)
class Kind:
    """How to draw one kind of piece, how frequent it is, and the areas it suits, in pixels of the 256-row original."""

    draw: Callable[[np.random.Generator, float, float, int], Patch]
    share: float
    gain: float  # area to draw in for one labelled pixel, measured
    smallest: float = 0
    largest: float = np.inf


KINDS: dict[str, Kind] = {
    "dark_lines": Kind(dark_lines, 0.48, 1.28, 2_500),
    "bright_lines": Kind(bright_lines, 0.08, 1.35, 2_500, 20_000),
    "speckled_columns": Kind(speckled_columns, 0.13, 1.3, 7_000),
    "rolled_in_patch": Kind(rolled_in_patch, 0.11, 2.9, 0, 25_000),
    "crescent": Kind(crescent, 0.05, 1.2, 1_500, 12_000),
    "oblique_scratches": Kind(oblique_scratches, 0.08, 1.6, 800, 30_000),
    "bright_flakes": Kind(bright_flakes, 0.05, 1.35, 500, 20_000),
    "smear": Kind(smear, 0.04, 2.7),
}


def scratches(rng: np.random.Generator, area: float, unit: float, height: int, style: float) -> Patch:
    """Class 3: one piece, of the kind that `style` (0..1) picks among those that suit its area."""
    original = area / unit**2
    suited = [kind for kind in KINDS.values() if kind.smallest <= original <= kind.largest]
    ends = np.cumsum([kind.share for kind in suited])
    kind = suited[min(int(np.searchsorted(ends, style * ends[-1])), len(suited) - 1)]
    return kind.draw(rng, kind.gain * area, unit, height)
