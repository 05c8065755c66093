"""Masks to polygons along the edges of their pixels, the way back of geometry.py; knows no files and no classes.

The polygon of one connected area is exact, holes too: a hole is reached over a bridge that is walked there and back, so
that one ring holds both, and the even-odd rule gives every pixel back.
"""

from __future__ import annotations

from collections import defaultdict

import cv2
import numpy as np

from sever.data.formats.geometry import fill_polygon

# Directions: right, down, left, up, as (x, y).
_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))


def polygons(mask_hw: np.ndarray, tolerance: float = 0.0) -> list[np.ndarray]:
    """One ring (N, 2) of x and y for each connected area, holes joined by bridges.

    `tolerance`: how far, in pixels, a simpler outline may lie from the true one; 0 is exact.
    """
    count, labels = cv2.connectedComponents((mask_hw != 0).astype(np.uint8), connectivity=4)
    return [_outline(part, tolerance) + np.array((left, top)) for top, left, part in _parts(labels, count)]


def _outline(part: np.ndarray, tolerance: float) -> np.ndarray:
    """The ring of one area within its box; exact where a simpler one would leave nothing of it."""
    rings = _rings(part)
    if tolerance > 0:
        simple = _bridged([ring for ring in (_simpler(ring, tolerance) for ring in rings) if len(ring) >= 3])
        if len(simple) and fill_polygon(simple, *part.shape).any():
            return simple
    return _bridged(rings)


def _parts(labels: np.ndarray, count: int) -> list[tuple[int, int, np.ndarray]]:
    """Top, left and the pixels (bool) of every connected area within its own box."""
    if count == 1:
        return []
    rows, columns = np.nonzero(labels)
    owners = labels[rows, columns]
    low, high = np.full((count, 2), np.iinfo(np.int64).max), np.zeros((count, 2), np.int64)
    places = np.column_stack([rows, columns])
    np.minimum.at(low, owners, places)
    np.maximum.at(high, owners, places + 1)
    boxes = zip(range(1, count), low[1:].tolist(), high[1:].tolist(), strict=True)
    return [(top, left, labels[top:bottom, left:right] == label) for label, (top, left), (bottom, right) in boxes]


def _rings(part: np.ndarray) -> list[np.ndarray]:
    """Closed walks along the pixels' edges with the area on the right; the outer one first, corners only."""
    starts = _edges(part)
    rings = []
    while starts:
        point = min(starts)
        direction = min(starts[point])
        ring, first = [], (point, direction)
        while True:
            starts[point].remove(direction)
            if not starts[point]:
                del starts[point]
            ring.append((point[1], point[0], direction))
            point = (point[0] + _STEPS[direction][1], point[1] + _STEPS[direction][0])
            if point not in starts or (point == first[0] and first[1] not in starts[point]):
                break
            # Where two pixels touch at a corner only, turning right keeps areas that are not one apart.
            direction = next(turn for turn in _turns(direction) if turn in starts[point])
        rings.append(_corners(ring))
    return sorted(rings, key=lambda ring: tuple(ring.min(axis=0)) + tuple(-ring.max(axis=0)))


def _edges(part: np.ndarray) -> dict[tuple[int, int], set[int]]:
    """(row, column) of each grid point -> directions in which the border goes on from there."""
    padded = np.pad(part, 1)
    inside = padded[1:-1, 1:-1]
    starts: dict[tuple[int, int], set[int]] = defaultdict(set)
    borders = (
        (0, inside & ~padded[:-2, 1:-1], (0, 0)),  # above: to the right
        (1, inside & ~padded[1:-1, 2:], (0, 1)),  # to the right: down
        (2, inside & ~padded[2:, 1:-1], (1, 1)),  # below: to the left
        (3, inside & ~padded[1:-1, :-2], (1, 0)),  # to the left: up
    )
    for direction, border, (down, right) in borders:
        for row, column in np.argwhere(border).tolist():
            starts[row + down, column + right].add(direction)
    return dict(starts)


def _turns(direction: int) -> tuple[int, int, int]:
    """Right, straight on, left."""
    return (direction + 1) % 4, direction, (direction - 1) % 4


def _corners(ring: list[tuple[int, int, int]]) -> np.ndarray:
    return np.array([(x, y) for at, (x, y, way) in enumerate(ring) if ring[at - 1][2] != way], dtype=np.float64)


def _simpler(ring: np.ndarray, tolerance: float) -> np.ndarray:
    return cv2.approxPolyDP(ring.astype(np.float32)[:, None], tolerance, True)[:, 0].astype(np.float64)


def _bridged(rings: list[np.ndarray]) -> np.ndarray:
    """The outer ring with every hole spliced in where two of their corners are nearest."""
    joined = rings[0] if rings else np.zeros((0, 2))
    for hole in rings[1:]:
        distances = ((joined[:, None] - hole[None]) ** 2).sum(axis=2)
        at, start = np.unravel_index(int(distances.argmin()), distances.shape)
        around = np.roll(hole, -int(start), axis=0)
        joined = np.concatenate([joined[: at + 1], around, around[:1], joined[at:]])
    return joined
