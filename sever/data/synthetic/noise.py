"""Smooth random fields and brush strokes that backgrounds, harmless marks and defects are made of; knows no steel.

A field is drawn on a coarse grid and enlarged, so that its cost falls with its correlation length.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

Array = np.ndarray
PADDING = 4  # coarse cells cut off on every side: blurring reflects at borders, which would raise the variance there


def white(rng: np.random.Generator, rows: int, columns: int) -> Array:
    """(rows, columns) float32 independent noise of mean 0 and deviation 1, uniform: ten times as fast as normal noise,
    and once it is blurred nobody sees the difference."""
    noise = np.frombuffer(rng.bytes(rows * columns), np.uint8).astype(np.float32).reshape(rows, columns)
    noise -= np.float32(127.5)
    noise *= np.float32(1 / 73.9)  # the deviation of a uniform byte
    return noise


def _blur_gain(sigma: float) -> float:
    """The standard deviation that a Gaussian blur leaves of white noise, along one axis."""
    if sigma <= 0.05:
        return 1.0
    kernel = cv2.getGaussianKernel(2 * round(4 * sigma) + 1, sigma)
    return float(np.sqrt((kernel**2).sum()))


def _grid(length: int, correlation: float) -> tuple[int, float]:
    """Number of coarse cells for `length` pixels, and the blur in cells that gives the correlation in pixels."""
    if correlation <= 1.5:
        return length, correlation  # a pixel a cell: resampling would blur some columns more than others
    cell = correlation / 1.5
    return int(np.ceil(length / cell)) + 1, 1.5


def field(rng: np.random.Generator, height: int, width: int, corr_y: float, corr_x: float) -> Array:
    """(H, W) float32 noise of mean 0 and deviation 1, blurred by a Gaussian of corr_y and corr_x pixels."""
    (rows, blur_y), (columns, blur_x) = _grid(height, corr_y), _grid(width, corr_x)
    pad_y, pad_x = (PADDING if blur_y > 0.05 else 0), (PADDING if blur_x > 0.05 else 0)
    coarse = white(rng, rows + 2 * pad_y, columns + 2 * pad_x)
    if pad_y or pad_x:
        coarse = cv2.GaussianBlur(
            coarse, (0, 0), sigmaX=max(blur_x, 0.01), sigmaY=max(blur_y, 0.01), borderType=cv2.BORDER_REFLECT
        )
        coarse = coarse[pad_y : pad_y + rows, pad_x : pad_x + columns]
    coarse = coarse * np.float32(1 / (_blur_gain(blur_y) * _blur_gain(blur_x)))
    if (rows, columns) == (height, width):
        return coarse
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


def fractal(
    rng: np.random.Generator, height: int, width: int, corr_y: float, corr_x: float, octaves: int, fall: float = 0.55
) -> Array:
    """Sum of fields, each half the size of the one before and `fall` as strong; deviation 1."""
    weights = fall ** np.arange(octaves)
    weights /= np.sqrt((weights**2).sum())
    total = np.zeros((height, width), np.float32)
    for octave, weight in enumerate(weights):
        total += np.float32(weight) * field(rng, height, width, corr_y / 2**octave, corr_x / 2**octave)
    return total


def profile(rng: np.random.Generator, length: int, correlation: float) -> Array:
    """(length,) float32 smooth noise of deviation 1."""
    return field(rng, 1, length, 0.0, correlation)[0]


def smoothstep(low: float, high: float, values: Array) -> Array:
    """0 below `low`, 1 above `high`, an S between (either order)."""
    t = values * np.float32(1 / (high - low))
    t -= np.float32(low / (high - low))
    np.clip(t, 0, 1, out=t)
    bend = t * np.float32(-2)
    bend += 3
    bend *= t
    bend *= t
    return bend


def ragged_blob(rng: np.random.Generator, height: int, width: int, rough: float, octaves: int = 5) -> Array:
    """(H, W) signed shape: above 0 inside a ragged blob of one to four lobes, clear of the box's borders."""
    y = np.linspace(-1.2, 1.2, height, dtype=np.float32)[:, None]
    x = np.linspace(-1.2, 1.2, width, dtype=np.float32)[None, :]
    size = min(height, width)
    warp_x, warp_y = (np.float32(0.16) * fractal(rng, height, width, 0.3 * size, 0.3 * size, 3, 0.6) for _ in range(2))
    x, y = x + warp_x, y + warp_y
    outside = np.maximum(np.abs(x), np.abs(y)) - 0.75  # the shape sinks towards the box's borders
    shape = np.full((height, width), -2.0, np.float32)
    for lobe in range(rng.integers(1, 5)):
        cy, cx = rng.uniform(-0.5, 0.5, 2) if lobe else rng.uniform(-0.1, 0.1, 2)
        ry, rx = rng.uniform(0.25, 0.6, 2) if lobe else rng.uniform(0.5, 0.85, 2)
        lean = rng.uniform(-0.5, 0.5)
        u, v = (x - cx) + lean * (y - cy), (y - cy) - lean * (x - cx)
        np.maximum(shape, 1 - np.sqrt((u / rx) ** 2 + (v / ry) ** 2), out=shape)
    shape += np.float32(rough) * fractal(rng, height, width, 0.25 * size, 0.25 * size, octaves, 0.62)
    return shape - 4 * np.maximum(outside, 0)


def ridges(rng: np.random.Generator, height: int, width: int, corr_y: float, corr_x: float, thin: float) -> Array:
    """(H, W) 0..1 winding lines that meet and part: where a smooth field passes through 0."""
    level = field(rng, height, width, corr_y, corr_x)
    level *= np.float32(1 / thin)
    level *= level
    np.negative(level, out=level)
    return np.exp(level, out=level)


def stroke(canvas: Array, points_xy: Sequence[tuple[float, float]], thickness: float, value: float = 1.0) -> Array:
    """An antialiased polyline drawn in place on a float32 canvas (sub-pixel positions, widths below a pixel fade)."""
    fixed = np.round(np.asarray(points_xy, np.float64) * 16).astype(np.int32).reshape(-1, 1, 2)
    layer = np.zeros(canvas.shape, np.uint8)
    cv2.polylines(layer, [fixed], False, 255, max(1, round(thickness)), cv2.LINE_AA, 4)
    np.maximum(canvas, layer.astype(np.float32) * np.float32(value * min(1.0, thickness) / 255), out=canvas)
    return canvas


def speckle(rng: np.random.Generator, canvas: Array, centres_xy: Array, radii_yx: Array, values: Array) -> Array:
    """Small filled ellipses, in place, each with its own brightness; they never go below what lies there."""
    for (x, y), (ry, rx), value in zip(centres_xy, radii_yx, values, strict=True):
        axes = (max(1, round(rx * 16)), max(1, round(ry * 16)))
        cv2.ellipse(
            canvas,
            (round(x * 16), round(y * 16)),
            axes,
            float(rng.uniform(-12, 12)),
            0,
            360,
            float(value),
            -1,
            cv2.LINE_8,
            4,
        )
    return canvas
