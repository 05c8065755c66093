"""Harmless marks: what a strip shows that is not a defect, and that a model must learn to leave alone.

Every mark multiplies or adds to the grey levels of a canvas in place. None of them is ever labelled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from sever.data.synthetic.background import Canvas
from sever.data.synthetic.noise import Array, field, fractal, profile, smoothstep, speckle


def _column_band(rng: np.random.Generator, canvas: Canvas, spread: float) -> Array:
    """(1, W) a soft band of columns somewhere on the strip, 0..1; `spread` in original pixels."""
    centre = rng.uniform(canvas.left, canvas.right)
    x = (np.arange(canvas.width, dtype=np.float32) - centre) / np.float32(spread * canvas.unit)
    return np.exp(-0.5 * x * x)[None, :]


def flaky_scale(rng: np.random.Generator, canvas: Canvas) -> None:
    """Two-toned scale: jagged flakes drawn out along the rolling direction, in a few bands of columns."""
    h, w, u = canvas.height, canvas.width, canvas.unit
    where = np.zeros((1, w), np.float32)
    for _ in range(rng.integers(1, 5)):
        where = np.maximum(where, _column_band(rng, canvas, rng.uniform(12, 80)))
    level = fractal(rng, h, w, rng.uniform(9, 30) * u, rng.uniform(2.5, 6) * u, 3, 0.75)
    level += np.float32(0.3) * field(rng, h, w, 0.6 * u, 1.8 * u)
    level += np.float32(0.8) * field(rng, h, w, 80 * u, 40 * u)
    level += np.float32(2.2) * where
    tone = np.float32(rng.uniform(0.06, 0.3) * (-1 if rng.random() < 0.65 else 0.8))
    low = rng.uniform(2.3, 3.3)
    flakes = smoothstep(low, low + rng.uniform(0.2, 0.7), level)
    flakes *= tone
    flakes += 1
    canvas.grey *= flakes


def oxide_blotches(rng: np.random.Generator, canvas: Canvas) -> None:
    """Mottled dull areas with ragged, granular borders, often drawn out downwards; or worn, lighter ones."""
    h, w, u = canvas.height, canvas.width, canvas.unit
    size = rng.uniform(18, 60) * u
    level = fractal(rng, h, w, size * rng.uniform(0.8, 3), size, 5, rng.uniform(0.6, 0.8))
    level += np.float32(0.35) * field(rng, h, w, 0.8 * u, 1.2 * u)
    level += np.float32(0.8) * field(rng, h, w, 150 * u, 220 * u)
    low = rng.uniform(0.2, 1.6)
    worn = smoothstep(low, low + rng.uniform(0.3, 1.0), level)
    worn *= np.float32(rng.uniform(-0.32, -0.08) if rng.random() < 0.7 else rng.uniform(0.08, 0.3))
    worn += 1
    canvas.grey *= worn


def oil_stains(rng: np.random.Generator, canvas: Canvas) -> None:
    """Large thin films with one faint, wavering, curved border."""
    h, w, u = canvas.height, canvas.width, canvas.unit
    y = np.arange(h, dtype=np.float32)[:, None]
    x = np.arange(w, dtype=np.float32)[None, :]
    warp = np.float32(0.12) * fractal(rng, h, w, 60 * u, 90 * u, 3, 0.6)
    for _ in range(rng.integers(1, 4)):
        cx, cy = rng.uniform(0, w), rng.choice([rng.uniform(-1, -0.2), rng.uniform(1.2, 2)]) * h
        rx, ry = rng.uniform(200, 600) * u, rng.uniform(120, 420) * u
        distance = np.float32(1) - np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2) + warp
        film = smoothstep(0, rng.uniform(0.01, 0.1), distance) * smoothstep(1.1, 0, distance)
        canvas.grey *= 1 + np.float32(rng.uniform(-0.16, 0.12)) * film


def runs_of_fluid(rng: np.random.Generator, canvas: Canvas) -> None:
    """Soft slanted trails, darker and lighter, that fan out downwards."""
    h, w, u = canvas.height, canvas.width, canvas.unit
    width = round(rng.uniform(80, 350) * u)
    trail = (
        np.float32(rng.uniform(0.03, 0.13)) * field(rng, 1, width, 0.0, 7 * u) * np.hanning(width).astype(np.float32)
    )
    x0, slope = rng.uniform(canvas.left, canvas.right), rng.uniform(-0.6, 0.6)
    bend = rng.uniform(-0.3, 0.3)
    t = np.arange(h, dtype=np.float32)[:, None] / h
    source_x = np.arange(w, dtype=np.float32)[None, :] - np.float32(x0) - (slope * t + bend * t * t) * np.float32(h)
    source = cv2.remap(trail, source_x, np.zeros_like(source_x), cv2.INTER_LINEAR, borderValue=0)
    canvas.grey *= 1 + source


def dull_bands(rng: np.random.Generator, canvas: Canvas) -> None:
    """Broad columns that reflect more or less, with one sharp side."""
    for _ in range(rng.integers(1, 4)):
        x = np.arange(canvas.width, dtype=np.float32)
        start = rng.uniform(canvas.left, canvas.right)
        wide, sharp = rng.uniform(15, 160) * canvas.unit, rng.uniform(1, 8) * canvas.unit
        side = rng.choice([-1, 1])
        band = smoothstep(-sharp, sharp, side * (x - start)) * np.exp(-np.maximum(side * (x - start), 0) / wide)
        canvas.grey *= (1 + np.float32(rng.uniform(-0.22, 0.18)) * band)[None, :].astype(np.float32)


def bright_wavy_band(rng: np.random.Generator, canvas: Canvas) -> None:
    """A column of glittering grain that wanders from side to side."""
    h, w, u = canvas.height, canvas.width, canvas.unit
    centre = rng.uniform(canvas.left, canvas.right) + profile(rng, h, 35 * u) * np.float32(rng.uniform(0, 14) * u)
    x = np.arange(w, dtype=np.float32)[None, :]
    wide = np.float32(rng.uniform(4, 16) * u)
    band = np.exp(-0.5 * ((x - centre[:, None]) / wide) ** 2)
    glitter = np.maximum(0, 0.1 + field(rng, h, w, 0.6 * u, 0.9 * u))
    canvas.grey += np.float32(rng.uniform(15, 75)) * band * glitter


def glitter_columns(rng: np.random.Generator, canvas: Canvas) -> None:
    """Bright specks gathered in columns, as where scale has been worn through."""
    h, w, u = canvas.height, canvas.width, canvas.unit
    fine = field(rng, h, w, 0.8 * u, 0.9 * u)
    fine += field(rng, h, w, 35 * u, 4 * u)
    fine += np.float32(0.9) * field(rng, h, w, 160 * u, 80 * u)
    fine -= np.float32(rng.uniform(2.4, 3.8))
    np.clip(fine, 0, 2, out=fine)
    fine *= np.float32(rng.uniform(15, 80))
    canvas.grey += fine


def dashes(rng: np.random.Generator, canvas: Canvas) -> None:
    """Short dark vertical dashes, thinly spread."""
    h, w, u = canvas.height, canvas.width, canvas.unit
    noise = field(rng, h, w, 5 * u, 0.9 * u) + 0.6 * field(rng, h, w, 60 * u, 45 * u)
    canvas.grey *= 1 - np.float32(rng.uniform(0.06, 0.2)) * smoothstep(1.9, 3.0, noise)


def dust(rng: np.random.Generator, canvas: Canvas) -> None:
    """Single specks, dark and bright, and a few short hairs."""
    h, w, u = canvas.height, canvas.width, canvas.unit
    count = int(rng.integers(5, 40))
    layer = np.zeros((h, w), np.float32)
    xy = np.column_stack([rng.uniform(canvas.left, canvas.right, count), rng.uniform(0, h, count)])
    radii = rng.lognormal(-0.3, 0.5, (count, 2)) * u
    dark = rng.random(count) < rng.uniform(0.2, 0.9)
    speckle(rng, layer, xy[dark], radii[dark], -rng.uniform(10, 45, int(dark.sum())))
    speckle(rng, layer, xy[~dark], radii[~dark], rng.uniform(20, 130, int((~dark).sum())))
    canvas.grey += cv2.GaussianBlur(layer, (0, 0), 0.6 * u)


def water_drops(rng: np.random.Generator, canvas: Canvas) -> None:
    """Saturated white splashes in one to three columns, some with a dark middle, in a faint dark halo."""
    h, u = canvas.height, canvas.unit
    span = round(rng.uniform(90, 200) * u)
    x0 = int(rng.uniform(canvas.left, max(canvas.left + 1, canvas.right - span)))
    view = canvas.grey[:, x0 : x0 + span]
    if view.shape[1] < 8:
        return
    x = np.arange(view.shape[1], dtype=np.float32)[None, :]
    near = np.full((h, view.shape[1]), -1.0, np.float32)
    for _ in range(rng.integers(1, 4)):
        centre = rng.uniform(0.25, 0.75) * span + profile(rng, h, 30 * u)[:, None] * np.float32(3 * u)
        wide = np.float32(rng.uniform(2.5, 9) * u)
        alive = 0.8 * field(rng, h, 1, rng.uniform(6, 22) * u, 0.0) + np.float32(rng.uniform(0.0, 0.8))
        near = np.maximum(near, np.exp(-0.5 * ((x - centre) / wide) ** 2) * alive)
    level = near + np.float32(0.34) * fractal(rng, h, view.shape[1], 6 * u, 4.5 * u, 3, 0.6) - np.float32(0.4)
    level -= smoothstep(0.7, 1.0, np.abs(2 * x / span - 1))
    white = smoothstep(0.0, 0.15, level)
    hollow = smoothstep(0.3, 0.6, level) if rng.random() < 0.6 else np.zeros_like(level)
    halo = smoothstep(-0.3, 0.0, level) * (1 - white)
    view *= 1 - np.float32(rng.uniform(0.0, 0.3)) * halo
    glare = np.float32(rng.uniform(230, 330)) * (0.9 + 0.25 * field(rng, h, view.shape[1], 1.5 * u, 1.5 * u))
    view += white * (glare - view) * (1 - 0.85 * hollow)


def chequer_plate(rng: np.random.Generator, canvas: Canvas) -> None:
    """Raised ribs in a diamond pattern, lit from one side."""
    h, w, u = canvas.height, canvas.width, canvas.unit
    pitch_x, pitch_y = rng.uniform(85, 115) * u, rng.uniform(110, 150) * u
    y = np.arange(h, dtype=np.float32)[:, None] + np.float32(rng.uniform(0, pitch_y))
    x = np.arange(w, dtype=np.float32)[None, :] + np.float32(rng.uniform(0, pitch_x))
    canvas.grey[:] = cv2.GaussianBlur(canvas.grey, (0, 0), 1.2 * u)
    shade = np.zeros((h, w), np.float32)
    rib = np.float32(rng.uniform(3.5, 5.0) * u)
    for sign in (-1, 1):
        turns = x / np.float32(pitch_x) + sign * y / np.float32(pitch_y)
        across = (turns - np.round(turns)) * np.float32(pitch_x) * 0.9
        dark_side = np.exp(-(((across - sign * rib) / (0.45 * rib)) ** 2))
        bright_side = np.exp(-(((across + sign * rib) / (0.6 * rib)) ** 2))
        shade += 0.45 * bright_side - 0.75 * dark_side + 0.12 * np.exp(-((across / rib) ** 2))
    canvas.grey *= np.maximum(0.08, 1 + shade)


@dataclass(frozen=True)
class Mark:
    """How to draw a mark, how often a strip shows it, and how often one that also has scabs."""

    draw: Callable[[np.random.Generator, Canvas], None]
    chance: float
    chance_with_scabs: float


MARKS: dict[str, Mark] = {
    "dull_bands": Mark(dull_bands, 0.55, 0.7),
    "flaky_scale": Mark(flaky_scale, 0.3, 0.5),
    "oxide_blotches": Mark(oxide_blotches, 0.16, 0.6),
    "oil_stains": Mark(oil_stains, 0.12, 0.05),
    "runs_of_fluid": Mark(runs_of_fluid, 0.12, 0.05),
    "bright_wavy_band": Mark(bright_wavy_band, 0.12, 0.1),
    "glitter_columns": Mark(glitter_columns, 0.16, 0.3),
    "dashes": Mark(dashes, 0.3, 0.3),
    "dust": Mark(dust, 0.7, 0.7),
    "water_drops": Mark(water_drops, 0.06, 0.02),
}
CHEQUER_SHARE = 0.02  # of the clean images: a chequer plate has no rolled surface to be defective


def draw_marks(rng: np.random.Generator, canvas: Canvas, clean: bool, dirty: bool) -> None:
    """Lays a random choice of harmless marks on the strip, in place; `dirty` as strip with scabs is."""
    if clean and rng.random() < CHEQUER_SHARE:
        chequer_plate(rng, canvas)
    for mark in MARKS.values():
        if rng.random() < (mark.chance_with_scabs if dirty else mark.chance):
            mark.draw(rng, canvas)
