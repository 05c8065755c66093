"""Connected components of one mask, measured by its runs along rows; knows nothing of probabilities and rules.

Labels are found once by OpenCV. All else (sizes, which components hold a seed, removing some) touches only the ends of
runs, about a fortieth of the pixels of a usual mask, which is what makes the rules fast.
"""

from __future__ import annotations

import cv2
import numpy as np

NEIGHBOURS = 8


def find_runs(mask_hw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Start and length of every run of ones along the rows of a mask (H, W) uint8; starts count pixels row by row."""
    height, width = mask_hw.shape
    # A clean column before every row keeps runs of neighbouring rows apart, and makes edges come in pairs.
    flat = np.zeros(height * (width + 1) + 1, np.uint8)
    flat[:-1].reshape(height, width + 1)[:, 1:] = mask_hw
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    starts, ends = edges[::2], edges[1::2]
    return starts - starts // (width + 1), ends - starts


class Components:
    """The components of a mask (H, W) uint8 of 0 and 1, numbered from 1; pixels that touch by a corner are connected.

    `labels_hw` int32 and `sizes` (one a number, in pixels; number 0 is the background, of size 0) stay as they were
    found: who removes components from the mask must look at the mask first.
    """

    def __init__(self, mask_hw: np.ndarray) -> None:
        count, self.labels_hw = cv2.connectedComponents(mask_hw, connectivity=NEIGHBOURS, ltype=cv2.CV_32S)
        self._starts, self._lengths = find_runs(mask_hw)
        self._numbers = self.labels_hw.ravel()[self._starts]
        self.sizes = np.bincount(self._numbers, weights=self._lengths, minlength=count).astype(np.int64)

    def that_hold(self, part_hw: np.ndarray) -> np.ndarray:
        """Which components hold a pixel of `part_hw` (H, W) uint8, a part of the mask: one bool a number."""
        starts, _ = find_runs(part_hw)
        held = np.zeros(len(self.sizes), bool)
        held[self.labels_hw.ravel()[starts]] = True
        return held

    def remove(self, mask_hw: np.ndarray, is_gone: np.ndarray) -> None:
        """Clean the components that `is_gone` (one bool a number) says out of a contiguous mask."""
        gone = is_gone[self._numbers]
        lengths = self._lengths[gone]
        before = np.cumsum(lengths) - lengths
        pixels = np.repeat(self._starts[gone] - before, lengths) + np.arange(lengths.sum())
        mask_hw.reshape(-1)[pixels] = 0
