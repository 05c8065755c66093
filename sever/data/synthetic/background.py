"""The bare strip: light, rolling texture, streaks, grain, ripples, the dark margin; nothing that could be a defect."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sever.data.synthetic.noise import Array, field, fractal, profile, ridges, smoothstep

BLACK = 4.0  # grey level beside the strip


@dataclass
class Canvas:
    """One strip while it is drawn: grey levels 0..255 before saturation, and where the strip lies.

    `unit` is the size of a pixel of the 256-row original here: 0.5 in an image of 128 rows.
    """

    grey: Array
    unit: float
    left: int
    right: int

    @property
    def height(self) -> int:
        return int(self.grey.shape[0])

    @property
    def width(self) -> int:
        return int(self.grey.shape[1])


def _margins(rng: np.random.Generator, width: int, near_edge: bool) -> tuple[int, int]:
    """Columns where the strip begins and ends: mostly the image's own borders, else a margin at one side."""
    at_left, share = rng.random() < 0.5, float(np.clip(rng.lognormal(-2.0, 0.9), 0.01, 0.6))
    if rng.random() > (0.45 if near_edge else 0.18):
        return 0, width
    edge = round(share * width)
    return (edge, width) if at_left else (0, width - edge)


def light(rng: np.random.Generator, height: int, width: int, unit: float) -> Array:
    """(H, W) brightness in grey levels: lamps across the width, fall-off along the rolling direction."""
    level = np.float32(np.exp(rng.normal(np.log(85), 0.16)))
    if rng.random() < 0.025:
        level *= np.float32(rng.uniform(0.2, 0.5))
    across = np.float32(rng.uniform(0.11, 0.36)) * profile(rng, width, 330 * unit)
    across += np.float32(rng.uniform(0.04, 0.17)) * profile(rng, width, 90 * unit)
    across += np.float32(rng.uniform(0.015, 0.06)) * profile(rng, width, 18 * unit)
    y = np.linspace(-1, 1, height, dtype=np.float32)
    tilt = np.float32(rng.normal(0.17, 0.27)) * y + np.float32(rng.normal(0, 0.06)) * y * y
    lamp = np.exp(across)[None, :] * np.exp(tilt)[:, None]
    if rng.random() < 0.45:
        centre, spread = rng.uniform(0, width), rng.uniform(200, 500) * unit
        x = (np.arange(width, dtype=np.float32) - centre) / spread
        side = 1 if rng.random() < 0.8 else -1
        glow = np.exp(-0.5 * x * x)[None, :] * np.exp(-2.2 * (1 - side * y) ** 1.3)[:, None]
        lamp = lamp * (1 + np.float32(rng.uniform(0.15, 1.1)) * glow)
    return (level * lamp).astype(np.float32)


def streaks(rng: np.random.Generator, height: int, width: int, unit: float) -> Array:
    """(H, W) relative brightness of lines along the rolling direction: hair-fine to broad, gathered in places."""
    gathered = np.minimum(np.exp(np.float32(0.8) * profile(rng, width, 60 * unit) - np.float32(0.25)), 1.7)[None, :]
    total = np.float32(rng.uniform(0.004, 0.02)) * field(rng, height, width, 90 * unit, 0.8 * unit)
    total += np.float32(rng.uniform(0.008, 0.035)) * field(rng, height, width, 130 * unit, 4 * unit)
    short = field(rng, height, width, rng.uniform(6, 14) * unit, rng.uniform(0.7, 1.6) * unit)
    total += np.float32(rng.uniform(0.005, 0.04)) * short
    total *= gathered
    total += np.float32(rng.uniform(0.01, 0.05)) * field(rng, height, width, 80 * unit, 14 * unit)
    return total


def clouds(rng: np.random.Generator, height: int, width: int, unit: float) -> Array:
    """(H, W) relative brightness of faint dirt: soft patches of several sizes, drawn out downwards."""
    strength = np.float32(rng.uniform(0.01, 0.07))
    return strength * fractal(rng, height, width, 60 * unit, rng.uniform(20, 60) * unit, 4, 0.7)


def waves(rng: np.random.Generator, height: int, width: int, unit: float) -> Array:
    """(H, W) horizontal waves, -1..1: bent lines a few pixels apart."""
    length = rng.uniform(7, 14) * unit
    x = np.arange(width, dtype=np.float32)[None, :]
    y = np.arange(height, dtype=np.float32)[:, None]
    bend = np.float32(rng.uniform(1.5, 3)) * fractal(rng, height, width, 26 * unit, 120 * unit, 4, 0.7)
    bend += (y + x * np.float32(rng.normal(0, 0.07))) * np.float32(2 * np.pi / length)
    return np.sin(bend, out=bend)


def folds(rng: np.random.Generator, height: int, width: int, unit: float) -> Array:
    """(H, W) thin dark lines across the strip that meet and part, -1..0."""
    lines = ridges(rng, height, width, rng.uniform(3.5, 7) * unit, rng.uniform(40, 90) * unit, rng.uniform(0.12, 0.3))
    tilt = np.array([[1, 0, 0], [rng.normal(0, 0.04), 1, 0]], np.float32)
    return -cv2.warpAffine(lines, tilt, (width, height), borderMode=cv2.BORDER_REFLECT)


def ripples(rng: np.random.Generator, height: int, width: int, unit: float) -> Array:
    """(H, W) relative brightness of waves or folds, strong in places only."""
    lines = (waves if rng.random() < 0.45 else folds)(rng, height, width, unit)
    lines *= smoothstep(-0.7, 1.8, field(rng, height, width, 70 * unit, 150 * unit))
    lines *= np.float32(rng.uniform(0.05, 0.17))
    return lines


def rows_of_grain(rng: np.random.Generator, height: int, width: int, unit: float) -> Array:
    """(H, W) fine horizontal rows a few pixels apart, as the line camera and the rolls leave them."""
    rows = field(rng, height, width, 0.9 * unit, rng.uniform(8, 30) * unit)
    rows *= np.float32(rng.uniform(0.005, 0.03))
    return rows


def grain(rng: np.random.Generator, height: int, width: int, unit: float) -> Array:
    """(H, W) relative brightness of the metal's grain: short horizontal dashes, patchy, often with glints."""
    fine = field(rng, height, width, rng.uniform(0.5, 0.75) * unit, rng.uniform(0.5, 0.8) * unit)
    dashes = field(rng, height, width, 0.6 * unit, 2.2 * unit)
    patchy = np.exp(np.float32(0.28) * fractal(rng, height, width, 110 * unit, 45 * unit, 3))
    glint = None
    if rng.random() < 0.55:
        glint = fine + np.float32(0.9) * dashes
        glint += np.float32(0.5) * field(rng, height, width, 70 * unit, 25 * unit) - np.float32(rng.uniform(2.2, 3.6))
        np.maximum(glint, 0, out=glint)
        glint *= np.float32(rng.uniform(0.1, 0.4))
    fine *= np.float32(rng.uniform(0.045, 0.11))
    dashes *= np.float32(rng.uniform(0.015, 0.055))
    fine += dashes
    if glint is not None:
        fine += glint
    fine *= patchy
    return fine


def _edge(rng: np.random.Generator, canvas: Canvas) -> None:
    """The strip's edge: a dull or bright selvedge a few dozen pixels wide, then black."""
    unit = canvas.unit
    x = np.arange(canvas.width, dtype=np.float32)
    inside = (x - canvas.left) if canvas.left else (canvas.right - x)
    width = rng.uniform(8, 60) * unit
    tone = 1 + np.float32(rng.uniform(-0.35, 0.25)) * np.exp(-np.maximum(inside, 0) / np.float32(width))
    tone *= 1 + np.float32(rng.uniform(-0.4, 0.5)) * np.exp(
        -(((inside - rng.uniform(2, 14) * unit) / (2.5 * unit)) ** 2)
    )
    canvas.grey *= tone[None, :]
    wander = profile(rng, canvas.height, 60 * unit) * np.float32(0.7 * unit)
    cover = smoothstep(-0.8, 0.8, inside[None, :] + wander[:, None])
    canvas.grey *= cover
    glow = np.float32(rng.uniform(0, 6)) * np.exp(np.minimum(inside, 0) / np.float32(rng.uniform(5, 60) * unit))
    canvas.grey += (1 - cover) * (np.float32(rng.uniform(0.5, 1) * BLACK) + glow[None, :])


def draw_background(rng: np.random.Generator, height: int, width: int, near_edge: bool = False) -> Canvas:
    """A clean strip without its margin, which `cover_margin` lays over all harmless marks on the strip.

    `near_edge`: the picture more often shows the strip's edge.
    """
    unit = height / 256
    left, right = _margins(rng, width, near_edge)
    relative = grain(rng, height, width, unit)
    relative += streaks(rng, height, width, unit)
    relative += clouds(rng, height, width, unit)
    relative += rows_of_grain(rng, height, width, unit)
    if rng.random() < 0.35:
        relative += ripples(rng, height, width, unit)
    relative += 1
    grey = light(rng, height, width, unit)
    grey *= np.maximum(relative, np.float32(0.25), out=relative)
    return Canvas(grey, unit, left, right)


def cover_margin(rng: np.random.Generator, canvas: Canvas) -> None:
    """Blackens what lies beside the strip."""
    if canvas.left > 0 or canvas.right < canvas.width:
        _edge(rng, canvas)
