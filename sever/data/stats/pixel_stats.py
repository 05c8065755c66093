"""What the pixels of a data set are like: light, contrast, margins, colours, bits used; knows no labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from sever.config import MAX_PIXELS
from sever.data.images import decode_stored
from sever.data.listing import in_threads
from sever.data.table import ImageTable

FEATURES = ("grey", "spread", "dark_tail", "bright_tail", "gradient_x", "gradient_y", "fine_noise", "dark_margin")
# A column or row at the border belongs to a dark margin if it is darker than this share of the image's bright tail.
MARGIN_DARKNESS = 0.15
# Levels of 0..1 from which a pixel counts as saturated, and up to which as black.
SATURATED, BLACK = 0.98, 0.02
# Channels that differ by more of 0..1 than JPEG's rounding makes them.
COLOURED = 0.03


@dataclass(frozen=True)
class PixelStats:
    """One value an image in each list, 0..1: mean, standard deviation, share of saturated and of black pixels, share of
    the rows or columns that are a dark margin. Ignored pixels count in none but the last, which is about the frame; an
    image without other pixels is left out.

    `bit_depths`: how many images store 8 and 16 bits. `bits_used`: the most that a value of a 16-bit image needs, None
    where there is none. `coloured`: in how many images the channels differ.
    """

    images: int
    brightness: tuple[float, ...]
    contrast: tuple[float, ...]
    saturated: tuple[float, ...]
    black: tuple[float, ...]
    margins: tuple[float, ...]
    bit_depths: dict[int, int]
    bits_used: int | None
    coloured: int


class _Look(NamedTuple):
    brightness: float
    contrast: float
    saturated: float
    black: float
    margin: float
    is_coloured: bool


def pixel_stats(
    table: ImageTable,
    most: int,
    advance: Callable[[int], None] = lambda images: None,
    max_pixels: int = MAX_PIXELS,
) -> PixelStats:
    """Of at most `most` images, spread evenly over the table; `advance` hears of every image that is done.

    Levels are shares of the highest that the bits in use can say. Raises InputError for an image that can't be read.
    """
    rows = np.unique(np.linspace(0, len(table) - 1, min(most, len(table))).round().astype(int)).tolist()

    def look(row: int, bits: int | None) -> _Look | int:
        """With the bits unknown, what a deep image needs of them."""
        stored = _stored(table.path(row), max_pixels)
        if bits is None and stored.dtype != np.uint8:
            return int(stored.max()).bit_length()
        return _look(stored, bits or 8, table.ignored(row))

    def first_look(row: int) -> _Look | int:
        found = look(row, None)
        advance(1)
        return found

    rows = [row for row in rows if (ignored_hw := table.ignored(row)) is None or not ignored_hw.all()]
    first = in_threads(first_look, rows)
    # Only when all are seen is it known how many bits are in use.
    bits = [each for each in first if isinstance(each, int)]
    bits_used = max(bits, default=None)
    deep_rows = [row for row, each in zip(rows, first, strict=True) if isinstance(each, int)]
    deep = in_threads(lambda row: look(row, bits_used or 16), deep_rows)
    looks = [each for each in (*first, *deep) if isinstance(each, _Look)]
    depths = {depth: count for depth, count in ((8, len(rows) - len(bits)), (16, len(bits))) if count}
    return PixelStats(
        images=len(looks),
        brightness=tuple(each.brightness for each in looks),
        contrast=tuple(each.contrast for each in looks),
        saturated=tuple(each.saturated for each in looks),
        black=tuple(each.black for each in looks),
        margins=tuple(each.margin for each in looks),
        bit_depths=depths,
        bits_used=bits_used,
        coloured=sum(each.is_coloured for each in looks),
    )


def image_features(image_hw: np.ndarray) -> np.ndarray:
    """(8,) FEATURES of one grey image (uint8): levels 0..1, mean steps between neighbours, share of dark border."""
    levels_hw = image_hw.astype(np.float32) / 255
    dark, bright = np.quantile(levels_hw, (0.05, 0.95))
    steps_x, steps_y = (np.abs(np.diff(levels_hw, axis=axis)) for axis in (1, 0))
    fine_hw = levels_hw - cv2.blur(levels_hw, (3, 3))
    return np.array(
        [
            levels_hw.mean(),
            levels_hw.std(),
            dark,
            bright,
            steps_x.mean() if steps_x.size else 0,
            steps_y.mean() if steps_y.size else 0,
            fine_hw.std(),
            dark_margin(levels_hw),
        ]
    )


def dark_margin(levels_hw: np.ndarray) -> float:
    """The share of rows, or of columns, at both ends that is dark without a break; the larger of the two."""
    bright = float(np.quantile(levels_hw, 0.95))
    return max(_margin_share(levels_hw.mean(axis=axis), bright) for axis in (0, 1))


def _margin_share(lines: np.ndarray, bright: float) -> float:
    """Of lines (rows or columns, their mean level)."""
    lit = np.flatnonzero(lines >= MARGIN_DARKNESS * bright)
    return 1 - (lit[-1] - lit[0] + 1) / len(lines) if lit.size and bright > 0 else 0.0


def _look(stored: np.ndarray, bits: int, ignored_hw: np.ndarray | None = None) -> _Look:
    levels = np.minimum(stored.astype(np.float32) / (2**bits - 1), 1)
    is_coloured = levels.ndim == 3 and bool((np.ptp(levels[..., :3], axis=2) > COLOURED).any())
    grey_hw = cv2.cvtColor(np.ascontiguousarray(levels[..., :3]), cv2.COLOR_BGR2GRAY) if levels.ndim == 3 else levels
    judged = grey_hw if ignored_hw is None else grey_hw[~ignored_hw]
    return _Look(
        float(judged.mean()),
        float(judged.std()),
        float((judged >= SATURATED).mean()),
        float((judged <= BLACK).mean()),
        dark_margin(grey_hw),
        is_coloured,
    )


def _stored(path: Path, max_pixels: int) -> np.ndarray:
    return decode_stored(path.read_bytes(), f"image {path}", max_pixels)
