"""One image in a few dozen numbers, by which kinds of images are told apart; knows no labels and no networks.

Light and noise as in FEATURES, how strong detail is at each size and in which direction, and how often each local
pattern occurs (rotation-invariant uniform local binary patterns: Ojala, Pietikainen and Maenpaa 2002).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

from sever.data.stats.pixel_stats import FEATURES, image_features

BANDS = 5  # of detail, each of twice the size of the one before
PATTERNS = 10
CELL_FEATURES = ("grey", "spread", "detail")
SILENCE = 1e-3

DESCRIPTORS = (
    *FEATURES,
    *(f"detail_of_{2**band}_pixels" for band in range(BANDS)),
    *(f"lying_detail_of_{2**band}_pixels" for band in range(BANDS)),
    *(f"pattern_{number}" for number in range(PATTERNS)),
)


class Description(NamedTuple):
    """`whole`: (D,) DESCRIPTORS. `cells`: (rows, columns, 3) CELL_FEATURES of the cells of a grid over the image."""

    whole: np.ndarray
    cells: np.ndarray

    def features(self) -> np.ndarray:
        """(F,) `whole`, then how each row and each column of the grid stands out; `feature_names` has their names.

        The logarithm of each CELL_FEATURE, less its mean over the image: other light, which changes all cells alike,
        changes none of these. Single cells would be too many numbers for a few hundred images.
        """
        logs = np.log(self.cells + SILENCE)
        logs -= logs.mean(axis=(0, 1))
        return np.concatenate([self.whole, logs.mean(axis=1).ravel(), logs.mean(axis=0).ravel()])


def feature_names(grid: tuple[int, int]) -> tuple[str, ...]:
    """Of `Description.features`: rows count from the top, columns from the left."""
    parts = [
        f"{feature}_of_{side}_{number}_of_{count}"
        for side, count in zip(("row", "column"), grid, strict=True)
        for number in range(1, count + 1)
        for feature in CELL_FEATURES
    ]
    return (*DESCRIPTORS, *parts)


def describe(image_hw: np.ndarray, grid: tuple[int, int]) -> Description:
    """Of one grey image (uint8); `grid` has rows and columns."""
    levels_hw = image_hw.astype(np.float32) / 255
    whole = np.concatenate([image_features(image_hw), _bands(levels_hw), _patterns(image_hw)])
    return Description(whole, _cells(levels_hw, grid))


def fitting_grid(size: tuple[int, int], cells: int = 16) -> tuple[int, int]:
    """Rows and columns of about `cells` roughly square cells for an image of this height and width."""
    height, width = size
    rows = max(1, round(math.sqrt(cells * height / width)))
    return rows, max(1, round(cells / rows))


def _bands(levels_hw: np.ndarray) -> np.ndarray:
    """Log strength of each level of a Laplacian pyramid, and the log ratio of its steps down and to the right."""
    strength, direction = [], []
    for _ in range(BANDS):
        coarse_hw = cv2.pyrDown(levels_hw)
        band_hw = levels_hw - cv2.pyrUp(coarse_hw, dstsize=levels_hw.shape[::-1])
        strength.append(math.log(float(band_hw.std()) + SILENCE))
        down, right = _steps(band_hw, 0), _steps(band_hw, 1)
        direction.append(math.log((down + SILENCE) / (right + SILENCE)))
        levels_hw = coarse_hw
    return np.array([*strength, *direction])


def _steps(band_hw: np.ndarray, axis: int) -> float:
    """Mean step between neighbours along an axis; 0 where there are none."""
    return float(np.abs(np.diff(band_hw, axis=axis)).mean()) if band_hw.shape[axis] > 1 else 0.0


def _patterns(image_hw: np.ndarray) -> np.ndarray:
    """(PATTERNS,) share of each pattern of the 8 neighbours: 0 to 8 brighter ones in a row, or none in a row."""
    if min(image_hw.shape) < 3:
        return np.zeros(PATTERNS)
    places = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))
    height, width = image_hw.shape[0] - 2, image_hw.shape[1] - 2
    centre = image_hw[1:-1, 1:-1]
    bits = np.stack([image_hw[top : top + height, left : left + width] > centre for top, left in places]).view(np.uint8)
    changes = (bits ^ np.roll(bits, 1, axis=0)).sum(axis=0, dtype=np.uint8)
    codes = np.where(changes <= 2, bits.sum(axis=0, dtype=np.uint8), PATTERNS - 1)
    return np.bincount(codes.ravel(), minlength=PATTERNS) / codes.size


def _cells(levels_hw: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    rows, columns = (np.array_split(np.arange(side), parts) for side, parts in zip(levels_hw.shape, grid, strict=True))
    fine_hw = levels_hw - cv2.blur(levels_hw, (3, 3))
    cells = np.zeros((*grid, len(CELL_FEATURES)))
    for at_row, row in enumerate(rows):
        for at_column, column in enumerate(columns):
            if row.size and column.size:
                place = slice(row[0], row[-1] + 1), slice(column[0], column[-1] + 1)
                cells[at_row, at_column] = levels_hw[place].mean(), levels_hw[place].std(), fine_hw[place].std()
    return cells
