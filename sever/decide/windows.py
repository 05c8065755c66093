"""Images of any size through a network that takes batches of one size: cut into windows, padded, put together again.

All of it is numpy. The network is a `Forward`, whatever library it runs in; nothing here knows which.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sever.decide.flips import check_flips, flip_average
from sever.decide.prediction import Forward, Prediction
from sever.errors import InputError


@dataclass(frozen=True)
class Window:
    """A rectangle of one image, in pixels; at every pixel the weights of all its windows sum to 1."""

    image: int
    top: int
    left: int
    row_weights: np.ndarray
    column_weights: np.ndarray

    @property
    def place(self) -> tuple[slice, slice]:
        bottom, right = self.top + len(self.row_weights), self.left + len(self.column_weights)
        return slice(self.top, bottom), slice(self.left, right)

    def is_whole(self, image_hwc: np.ndarray) -> bool:
        """Whether it is the only window of its image; its weights then are 1."""
        return image_hwc.shape[:2] == (len(self.row_weights), len(self.column_weights))

    def padded_size(self, multiple: int) -> tuple[int, int]:
        return _round_up(len(self.row_weights), multiple), _round_up(len(self.column_weights), multiple)


@dataclass(frozen=True)
class Windows:
    """How images go through a network: cut, flipped, batched.

    tile: height and width in pixels above which an image is cut into tiles. Maps are blended where these overlap; an
        image shows a class as surely as its surest tile does.
    tile_overlap: least number of pixels that neighbouring tiles share.
    size_multiple: what the network needs its height and width to be multiples of.
    flips: averaged with the plain image (`flips.FLIPS`).
    batch_size: images, or tiles, that go through the network together.
    Raises InputError for a tile no larger than its overlap, and an unknown flip.
    """

    tile: tuple[int, int] = (1024, 2048)
    tile_overlap: int = 128
    size_multiple: int = 32
    flips: tuple[str, ...] = ()
    batch_size: int = 8

    def __post_init__(self) -> None:
        check_flips(self.flips)
        if not 0 <= self.tile_overlap < min(self.tile):
            raise InputError(f"tile_overlap {self.tile_overlap} must be 0 or more and below tile {self.tile}")
        assert self.batch_size >= 1
        assert self.size_multiple >= 1

    def predict(self, images: Sequence[np.ndarray], forward: Forward) -> list[Prediction]:
        """What the network says of images (H, W, channels) uint8, in their order; sizes may differ.

        Beyond its result it holds one batch of images or tiles at a time.
        """
        maps: dict[int, np.ndarray] = {}
        labels: dict[int, np.ndarray] = {}
        for batch in self._batches(images):
            maps_nchw, labels_nc = flip_average(forward, self._pixels(images, batch), self.flips)
            if maps_nchw is not None:
                for window, probs_chw in zip(batch, maps_nchw, strict=True):
                    if window.is_whole(images[window.image]):
                        rows, columns = window.place
                        maps[window.image] = probs_chw[:, rows, columns]  # cropped, not copied
                    else:
                        _place(maps, images[window.image], window, probs_chw)
            if labels_nc is not None:
                for window, probs_c in zip(batch, labels_nc, strict=True):
                    labels[window.image] = np.maximum(labels.get(window.image, 0), probs_c)
        return [Prediction(maps.get(index), labels.get(index)) for index in range(len(images))]

    def _batches(self, images: Sequence[np.ndarray]) -> Iterator[list[Window]]:
        """Windows that have the same padded size, `batch_size` at a time."""
        waiting: dict[tuple[int, int], list[Window]] = defaultdict(list)
        for index, image_hwc in enumerate(images):
            for window in self._windows(index, *image_hwc.shape[:2]):
                size = window.padded_size(self.size_multiple)
                waiting[size].append(window)
                if len(waiting[size]) == self.batch_size:
                    yield waiting.pop(size)
        yield from waiting.values()

    def _windows(self, image: int, height: int, width: int) -> Iterator[Window]:
        for top, row_weights in axis_tiles(height, self.tile[0], self.tile_overlap, self.size_multiple):
            for left, column_weights in axis_tiles(width, self.tile[1], self.tile_overlap, self.size_multiple):
                yield Window(image, top, left, row_weights, column_weights)

    def _pixels(self, images: Sequence[np.ndarray], batch: list[Window]) -> np.ndarray:
        pixels = [padded(images[window.image][window.place], self.size_multiple) for window in batch]
        return pixels[0][None] if len(pixels) == 1 else np.stack(pixels)


def _place(maps: dict[int, np.ndarray], image_hwc: np.ndarray, window: Window, probs_chw: np.ndarray) -> None:
    """Add a window's probabilities, cropped and weighted, to its image's map."""
    height, width = image_hwc.shape[:2]
    if window.image not in maps:
        maps[window.image] = np.zeros((len(probs_chw), height, width), dtype=np.float32)
    rows, columns = len(window.row_weights), len(window.column_weights)
    weights_hw = window.row_weights[:, None] * window.column_weights
    maps[window.image][:, *window.place] += probs_chw[:, :rows, :columns] * weights_hw


def axis_tiles(size: int, tile: int, overlap: int, multiple: int) -> list[tuple[int, np.ndarray]]:
    """Cut `size` pixels into tiles of equal length, evenly spread; returns (start, weights float32) of each.

    As many as `tile` pixels make necessary, then no longer than these need to be. Starts and lengths are multiples of
    `multiple`, so that a network with strides sees the grid that it sees in the whole image; for that the last tile
    may reach beyond the end (its weights don't). Neighbours share at least `overlap` pixels, as far as the tile allows;
    over these the weights rise and fall linearly, and at every pixel they sum to 1. Up to `tile` pixels are one tile.
    """
    if size <= max(tile, multiple):
        return [(0, np.ones(size, dtype=np.float32))]
    starts, length = _spread(-(-size // multiple), max(tile // multiple, 1), -(-overlap // multiple))
    starts, length = [start * multiple for start in starts], length * multiple
    shared = max(first + length - second for first, second in pairwise(starts))
    rise = np.minimum((np.arange(length) + 0.5) / max(shared, 1), 1)
    ramps = np.zeros((len(starts), starts[-1] + length))
    for ramp, start in zip(ramps, starts, strict=True):
        ramp[start : start + length] = (rise if start else 1) * (rise[::-1] if start != starts[-1] else 1)
    weights = (ramps / ramps.sum(axis=0))[:, :size].astype(np.float32)
    return [(start, row[start : start + length]) for start, row in zip(starts, weights, strict=True)]


def _spread(size: int, tile: int, overlap: int) -> tuple[list[int], int]:
    """Starts and common length of the fewest tiles over `size`, in steps of the network's size multiple."""
    overlap = min(overlap, tile - 1)
    count = -(-(size - overlap) // (tile - overlap))
    length = -(-(size + (count - 1) * overlap) // count)
    return [round(start) for start in np.linspace(0, size - length, count)], length


def padded(pixels_hwc: np.ndarray, multiple: int) -> np.ndarray:
    """Repeat the last row and column until height and width are multiples."""
    height, width = pixels_hwc.shape[:2]
    below, right = _round_up(height, multiple) - height, _round_up(width, multiple) - width
    return np.pad(pixels_hwc, ((0, below), (0, right), (0, 0)), mode="edge") if below or right else pixels_hwc


def _round_up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple
