"""Outlines to pixels: polygons, boxes and ellipses to masks; knows no files and no classes.

One convention for all formats: x goes right and y down, in pixels; pixel (column, row) covers the square from (column,
row) to (column + 1, row + 1), and it belongs to an outline that holds its centre. So a box from (2, 3) to (5, 7) has
3 x 4 pixels, and an outline drawn along the pixels' edges gives back exactly these pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sever.errors import InputError

# What lies farther out than this was not drawn on any image, and squares of it would leave float64's whole numbers.
FARTHEST = 1e7


def as_points(numbers: object) -> np.ndarray:
    """(N, 2) float64 of x and y from flat numbers or pairs. Raises InputError unless 3 points or more, all finite."""
    try:
        values = np.asarray(numbers, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError("the points are not numbers in pairs of x and y") from error
    if values.ndim not in (1, 2) or values.size % 2 or (values.ndim == 2 and values.shape[1] != 2):
        raise InputError(f"the points are not pairs of x and y ({values.size} numbers)")
    points = values.reshape(-1, 2)
    if len(points) < 3:
        raise InputError(f"a polygon needs 3 points or more, but has {len(points)}")
    return _near(points)


def fill_polygon(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W) uint8 of 0 and 1: pixels whose centre lies inside, by the even-odd rule; outside the image is cut off."""
    # Centres at whole numbers from here on.
    x0, y0 = points.T - 0.5
    x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
    swap = y0 > y1
    x0, x1, y0, y1 = (np.where(swap, *pair) for pair in ((x1, x0), (x0, x1), (y1, y0), (y0, y1)))
    first, end = (np.clip(np.ceil(y), 0, height).astype(np.int64) for y in (y0, y1))
    counts = end - first
    edge = np.repeat(np.arange(len(points)), counts)
    rows = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    crossings = x0[edge] + (rows - y0[edge]) * (x1[edge] - x0[edge]) / (y1[edge] - y0[edge])
    columns = np.clip(np.ceil(crossings), 0, width).astype(np.int64)
    # Each crossing turns inside and outside about, from its column on.
    toggles = np.bincount(rows * (width + 1) + columns, minlength=height * (width + 1)) & 1
    mask_hw = np.bitwise_xor.accumulate(toggles.reshape(height, width + 1).astype(np.uint8), axis=1)
    return np.ascontiguousarray(mask_hw[:, :width])


def fill_box(corners: Sequence[float], height: int, width: int) -> np.ndarray:
    """The pixels of a box (left, top, right, bottom)."""
    left, top, right, bottom = _near(np.asarray(corners, dtype=np.float64))
    if right <= left or bottom <= top:
        raise InputError(f"the box from ({left:g}, {top:g}) to ({right:g}, {bottom:g}) has no area")
    return fill_polygon(np.array([[left, top], [right, top], [right, bottom], [left, bottom]]), height, width)


def fill_ellipse(
    centre: tuple[float, float], radii: tuple[float, float], height: int, width: int, degrees: float = 0.0
) -> np.ndarray:
    """The pixels of an ellipse, turned clockwise by `degrees`."""
    x, y, across, down, turn = _near(np.array([*centre, *radii, degrees], dtype=np.float64))
    if across <= 0 or down <= 0:
        raise InputError(f"the ellipse with radii {across:g} and {down:g} has no area")
    rows, columns = np.ogrid[:height, :width]
    right, below, angle = columns + 0.5 - x, rows + 0.5 - y, np.deg2rad(turn)
    along = right * np.cos(angle) + below * np.sin(angle)
    aside = below * np.cos(angle) - right * np.sin(angle)
    return ((along / across) ** 2 + (aside / down) ** 2 <= 1).astype(np.uint8)


def turn_about(points: np.ndarray, pivot: tuple[float, float], degrees: float) -> np.ndarray:
    """The points (N, 2) turned clockwise, as y goes down."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (points - pivot) @ turn.T + pivot


def _near(values: np.ndarray) -> np.ndarray:
    if not (np.abs(values) < FARTHEST).all():  # NaN is not below either
        raise InputError("a coordinate is not finite, or far beyond any image")
    return values
