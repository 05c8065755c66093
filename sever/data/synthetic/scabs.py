"""Class 4: large rough scabs with ragged dark borders, relief inside and bright flakes."""

from __future__ import annotations

import cv2
import numpy as np

from sever.data.synthetic.defects import Patch, box
from sever.data.synthetic.noise import Array, field, fractal, ragged_blob, ridges, smoothstep


def _relief(rng: np.random.Generator, h: int, w: int, unit: float) -> Array:
    """(h, w) shading of a rough surface lit from above: slopes of a fractal height field, about -1..1."""
    coarse = rng.uniform(7, 30) * unit
    surface = fractal(rng, h, w, coarse * rng.uniform(0.5, 1), coarse, 5, rng.uniform(0.5, 0.66))
    slope = cv2.Sobel(surface, cv2.CV_32F, 0, 1, ksize=3) + cv2.Sobel(surface, cv2.CV_32F, 1, 0, ksize=3) * 0.5
    return np.clip(slope / np.float32(2.2 * slope.std() + 1e-6), -1.5, 1.5)


def _wrinkles(rng: np.random.Generator, h: int, w: int, unit: float) -> Array:
    """(h, w) 0..1 thin winding dark folds, in parts of the scab only."""
    lines = ridges(rng, h, w, rng.uniform(9, 22) * unit, rng.uniform(18, 60) * unit, 0.09)
    bend = fractal(rng, h, w, 12 * unit, 14 * unit, 4, 0.7) * np.float32(5 * unit)
    y, x = np.indices((h, w), dtype=np.float32)
    lines = cv2.remap(lines, x + 0.4 * bend, y + bend, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return lines * smoothstep(0.0, 1.0, field(rng, h, w, 30 * unit, 40 * unit))


def _body(rng: np.random.Generator, unit: float, patches: Array, style: float) -> Array:
    """(h, w) brightness of the scab relative to the strip: its tone, dull and worn parts, relief and wrinkles.

    `style` 0 is a dark crust, 1 a crumpled fold of the strip's own tone.
    """
    h, w = patches.shape
    tone = np.float32(np.clip(0.42 + 0.6 * style + rng.normal(0, 0.07), 0.3, 1.05))
    body = tone * (1 + np.float32(rng.uniform(0.1, 0.45)) * np.tanh(1.5 * patches))
    body *= 1 + np.float32(rng.uniform(0.15, 0.35) + 0.3 * style * rng.random()) * _relief(rng, h, w, unit)
    body *= 1 + np.float32(rng.uniform(0, 0.12)) * field(rng, h, w, rng.uniform(4, 16) * unit, 1.2 * unit)
    body *= 1 + np.float32(rng.uniform(0.02, 0.14)) * field(rng, h, w, 0.8 * unit, 0.9 * unit)
    body *= 1 - np.float32(rng.uniform(0.3, 0.85)) * _wrinkles(rng, h, w, unit)
    return body


def _stain(rng: np.random.Generator, unit: float, depth: Array, patches: Array) -> Array:
    """(h, w) faint dull or worn surroundings, drawn out downwards, as a scab leaves them on the strip."""
    h, w = depth.shape
    reach = rng.uniform(3, 9)
    tail = smoothstep(-reach, 0, depth + np.float32(0.3 * reach) * field(rng, h, w, 14 * unit, 3 * unit))
    tail *= np.clip(0.5 + 0.5 * patches, 0, 1)
    return 1 - np.float32(rng.uniform(-0.12, 0.25)) * tail


def _lips(rng: np.random.Generator, shape: Array, depth: Array, unit: float, patches: Array) -> tuple[Array, Array]:
    """(h, w) 0..1 the shaded lip just inside the border and the lit one just outside, each on its side of the scab."""
    smooth = cv2.GaussianBlur(shape, (0, 0), 5 * unit)
    slope_y, slope_x = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3), cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3)
    angle = rng.normal(np.pi / 2, 0.7)  # where the light comes from: mostly above
    toward = slope_y * np.sin(angle) + slope_x * np.cos(angle)
    facing = toward / (np.sqrt(slope_x**2 + slope_y**2) + 1e-6)
    along = field(rng, shape.shape[0], shape.shape[1], 12 * unit, 12 * unit)
    broken = smoothstep(-0.9, 0.7, along + 0.5 * patches)
    width = np.float32(rng.uniform(0.8, 3.5)) * np.exp(np.float32(0.5) * along)
    dark = np.exp(-(((depth - 0.8 * width) / width) ** 2)) * smoothstep(-0.5, 0.8, facing) * broken
    light = np.exp(-(((depth + 0.3 * width) / (0.6 * width)) ** 2)) * smoothstep(0.3, -0.9, facing)
    return np.clip(dark, 0, 1), light * np.clip(patches + 0.3, 0, 1.4)


def scabs(rng: np.random.Generator, area: float, unit: float, height: int, style: float) -> Patch:
    """Class 4: one scab whose label covers about `area` pixels."""
    h, w = box(2.1 * area, rng.uniform(0.25, 1.3), unit, round(1.3 * height))
    shape = ragged_blob(rng, h, w, rng.uniform(0.1, 0.24), 6)
    steep = cv2.GaussianBlur(shape, (0, 0), 2 * unit)
    steep = np.abs(cv2.Sobel(steep, cv2.CV_32F, 1, 0, ksize=3)) + np.abs(cv2.Sobel(steep, cv2.CV_32F, 0, 1, ksize=3))
    depth = shape / np.maximum(steep * np.float32(unit / 8), np.float32(0.008))  # original pixels inside the border
    patches = fractal(rng, h, w, rng.uniform(15, 40) * unit, rng.uniform(12, 35) * unit, 5, 0.7)
    inside = smoothstep(-0.5, rng.uniform(1.0, 5.0), depth)
    if rng.random() < 0.6:  # worn through: the strip shows in places
        inside *= smoothstep(rng.uniform(1.4, 2.4), 0.5, patches)
    if rng.random() < 0.3:  # partly healed: the scab shows only in places
        inside *= smoothstep(-1.3, 0.2, patches)
    dark, light = _lips(rng, shape, depth, unit, patches)
    body = _body(rng, unit, patches, style)
    body *= 1 - np.float32(rng.uniform(0.3, 0.85)) * dark
    patch = Patch.empty(h, w)
    patch.gain = (1 - inside) * _stain(rng, unit, depth, patches) + np.maximum(body, np.float32(0.07)) * inside
    flakes = smoothstep(0.0, 0.6, patches + 0.5 * field(rng, h, w, 2.5 * unit, 1.5 * unit) - rng.uniform(0.9, 2.6))
    flakes *= np.clip(0.6 + 0.5 * field(rng, h, w, 5 * unit, 1.0 * unit), 0, 1) * inside
    patch.add += np.float32(rng.uniform(15, 150)) * flakes
    patch.add += np.float32(rng.uniform(0, 90)) * light
    if rng.random() < 0.15:  # bare metal that mirrors the lamp
        bare = smoothstep(0.0, 0.25, field(rng, h, w, 18 * unit, 16 * unit) + 0.15 * patches - rng.uniform(1.2, 1.8))
        patch.add += np.float32(rng.uniform(100, 220)) * bare * inside
    return _fade(patch, round(3 * unit))


def _fade(patch: Patch, border: int) -> Patch:
    """Brings the change to nothing at the patch's borders, so that no box shows."""
    h, w = patch.gain.shape
    y = np.minimum(np.arange(h), np.arange(h)[::-1]).astype(np.float32)[:, None]
    x = np.minimum(np.arange(w), np.arange(w)[::-1]).astype(np.float32)[None, :]
    fade = np.minimum(1, np.minimum(x, y) / max(1, border))
    patch.gain = 1 - (1 - patch.gain) * fade
    patch.add *= fade
    return patch
