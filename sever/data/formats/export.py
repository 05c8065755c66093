"""What every writer of labels is given: images with their masks, region by region; knows no format and no files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from sever.data.formats.outlines import polygons


@dataclass(frozen=True)
class Region:
    """One connected area of one class; `score` is its mean probability, where a model found it."""

    class_index: int
    mask_hw: np.ndarray
    score: float | None

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, width and height in pixels."""
        left, top, width, height = cv2.boundingRect(self.mask_hw)
        return int(left), int(top), int(width), int(height)

    def rings(self, tolerance: float) -> list[np.ndarray]:
        """Polygons (N, 2), at most `tolerance` pixels off; 0 is exact."""
        return polygons(self.mask_hw, tolerance)


@dataclass(frozen=True)
class Exported:
    """One image and its masks (C, H, W) of 0, 1 and IGNORED; `levels_chw`: a model's map, where one drew them."""

    image_id: str
    masks_chw: np.ndarray
    levels_chw: np.ndarray | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return int(self.masks_chw.shape[1]), int(self.masks_chw.shape[2])

    def regions(self) -> Iterator[Region]:
        """Class by class; pixels that touch at a corner are of one region."""
        for index, mask_hw in enumerate(self.masks_chw):
            count, labels = cv2.connectedComponents((mask_hw == 1).astype(np.uint8), connectivity=8)
            for label in range(1, count):
                part_hw = (labels == label).astype(np.uint8)
                yield Region(index, part_hw, self._score(index, part_hw))

    def _score(self, index: int, part_hw: np.ndarray) -> float | None:
        if self.levels_chw is None:
            return None
        return round(float(self.levels_chw[index][part_hw != 0].mean()) / 255, 4)


class Wish(NamedTuple):
    """How to write: `tolerance`: polygons at most so many pixels off in place of what the format has for exact masks.

    `predicted`: what a model drew, to be corrected, where the format tells this from labels.
    """

    tolerance: float | None = None
    predicted: bool = False


# Into a folder, the images, the names of their classes, and how.
Write = Callable[[Path, Iterable[Exported], Sequence[str], Wish], None]
