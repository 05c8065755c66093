"""The single defects in masks: one for each connected part of a class; knows no files and no networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np

from sever.data.formats.outlines import polygons
from sever.decide.components import NEIGHBOURS


@dataclass(frozen=True)
class Finding:
    """One connected part of one class; pixels that touch by a corner are connected.

    `box`: left, top, right and bottom in pixels, right and bottom just outside. `area`: pixels. `confidence`: the mean
    probability of its pixels. `mask`: (height, width of the box) bool.
    """

    class_index: int
    class_name: str
    box: tuple[int, int, int, int]
    area: int
    confidence: float
    mask: np.ndarray = field(repr=False, compare=False)

    @cached_property
    def polygons(self) -> list[np.ndarray]:
        """Rings (N, 2) of x and y along the edges of its pixels, in those of the image; holes are joined by bridges.

        More than one where its parts touch by corners alone.
        """
        left, top = self.box[:2]
        return [ring + np.array((left, top)) for ring in polygons(self.mask)]


def find_components(masks_chw: np.ndarray, probs_chw: np.ndarray, class_names: Sequence[str]) -> tuple[Finding, ...]:
    """Class by class, the largest first."""
    found: list[Finding] = []
    for index, (mask_hw, probs_hw) in enumerate(zip(masks_chw, probs_chw, strict=True)):
        if mask_hw.any():
            own = _components(np.ascontiguousarray(mask_hw), probs_hw, index, class_names[index])
            found += sorted(own, key=lambda each: (-each.area, each.box))
    return tuple(found)


def _components(mask_hw: np.ndarray, probs_hw: np.ndarray, index: int, name: str) -> list[Finding]:
    count, labels_hw, stats, _ = cv2.connectedComponentsWithStats(mask_hw, connectivity=NEIGHBOURS, ltype=cv2.CV_32S)
    found = []
    for number in range(1, count):
        left, top, width, height, area = (int(value) for value in stats[number])
        place = slice(top, top + height), slice(left, left + width)
        part_hw = labels_hw[place] == number
        confidence = float(probs_hw[place][part_hw].mean(dtype=np.float64))
        found.append(Finding(index, name, (left, top, left + width, top + height), area, confidence, part_hw))
    return found
