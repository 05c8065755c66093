"""Images and masks as tensors: one by one, in batches, and their mean and spread; knows no layout of files.

An image is uint8 until it is in the network, which normalises it: a quarter of the memory to copy and send.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sever.config import MAX_PIXELS
from sever.data.batch import TrainingBatch
from sever.data.images import Channels, read_image
from sever.data.reader import ImageReader
from sever.data.samplers import SampleKey
from sever.data.table import ImageTable
from sever.data.transforms import Augmentation
from sever.errors import InputError

GREY_LEVELS = 256
# OpenCV counts in float32, which holds every integer up to here.
COUNTABLE_PIXELS = 2**24


class StripDataset(Dataset[tuple[Tensor, Tensor]]):
    """SampleKey -> pixels (channels, H, W) uint8 and masks (C, H, W) uint8 of 0, 1 and IGNORED.

    What an image looks like depends on (seed, epoch, row) alone, not on the worker that reads it or on what
    was read before. Without augmentation it is the image as stored.
    """

    def __init__(
        self,
        table: ImageTable,
        channels: Channels,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        significant_bits: int = 16,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.table, self.channels, self.augmentation = table, channels, augmentation
        self.seed, self.significant_bits, self.max_pixels = seed, significant_bits, max_pixels

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, key: SampleKey) -> tuple[Tensor, Tensor]:
        epoch, row = key
        image_hwc = read_image(self.table.path(row), self.channels, self.significant_bits, self.max_pixels)
        if image_hwc.shape[:2] != self.table.size(row):
            raise InputError(
                f"{self.table.path(row)} is {_size_text(image_hwc.shape)} pixels now, but was "
                f"{_size_text(self.table.size(row))} when the labels were read; start again"
            )
        masks_chw = self.table.mask(row)
        if self.augmentation is not None:
            rng = np.random.default_rng([self.seed, epoch, row])
            image_hwc, masks_chw = self.augmentation(image_hwc, masks_chw, rng)
        pixels_chw = np.ascontiguousarray(image_hwc.transpose(2, 0, 1))
        return torch.from_numpy(pixels_chw), torch.from_numpy(np.ascontiguousarray(masks_chw))


def start_worker(worker_id: int) -> None:
    """For a DataLoader's `worker_init_fn`: one thread a process, as the processes already share the cores."""
    cv2.setNumThreads(0)


def collate(samples: list[tuple[Tensor, Tensor]], multiple: int = 1) -> TrainingBatch:
    """Samples -> pixels (N, channels, H, W) and masks (N, C, H, W), padded to the largest height and width.

    Both sides are rounded up to a `multiple`. Padding lies below and to the right, where pixels and masks both repeat
    the edge: it makes no false border, and teaches nothing wrong (masks of 0 there would say that a defect ends at the
    edge, though its texture goes on).
    """
    height, width = (
        math.ceil(max(pixels.shape[axis] for pixels, _ in samples) / multiple) * multiple for axis in (1, 2)
    )
    pixels = torch.stack([_repeat_edge(pixels, height, width) for pixels, _ in samples])
    masks = torch.stack([_repeat_edge(masks, height, width) for _, masks in samples])
    return TrainingBatch(pixels, masks)


def measure_pixels(
    table: ImageTable, read: ImageReader, workers: int = 1
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over all pixels of all images that were judged, in 0..1.

    Exact to the last bit, whatever the number of images and workers: levels are counted, then summed as
    integers. Raises InputError where a channel never changes, which no normalisation can mend.
    """
    counts = np.zeros((read.channels, GREY_LEVELS), np.int64)
    for image_counts in _count_all(table, read, workers):
        counts += image_counts
    measured = [_mean_and_std(channel) for channel in counts]
    return tuple(mean for mean, _ in measured), tuple(std for _, std in measured)


def _count_all(table: ImageTable, read: ImageReader, workers: int) -> Iterator[np.ndarray]:
    def count(row: int) -> np.ndarray:
        return count_levels(read(table.path(row)), table.ignored(row))

    # Threads: OpenCV works outside Python's lock.
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(count, range(len(table)))


def count_levels(image_hwc: np.ndarray, ignored_hw: np.ndarray | None = None) -> np.ndarray:
    """How many pixels of each channel have each level, ignored ones left out: (channels, 256) int64."""
    if ignored_hw is not None:
        image_hwc = image_hwc[~ignored_hw][:, None]
    counts = np.zeros((image_hwc.shape[2], GREY_LEVELS), np.int64)
    if not image_hwc.size:
        return counts
    rows = max(1, COUNTABLE_PIXELS // image_hwc.shape[1])
    for top in range(0, len(image_hwc), rows):
        band = image_hwc[top : top + rows]
        for channel in range(len(counts)):
            found = cv2.calcHist([band], [channel], None, [GREY_LEVELS], [0, GREY_LEVELS])
            counts[channel] += found.ravel().astype(np.int64)
    return counts


def _mean_and_std(counts: np.ndarray) -> tuple[float, float]:
    """Of counted levels (256,), as a share of the highest; in Python's integers, which don't overflow."""
    number = sum(counts.tolist())
    total = sum(level * count for level, count in enumerate(counts.tolist()))
    squares = sum(level**2 * count for level, count in enumerate(counts.tolist()))
    spread = number * squares - total**2
    if spread <= 0:
        raise InputError(
            "a channel has one and the same value in all pixels of all training images, so that nothing can "
            "be learnt from it; check data.root, or feed one grey channel (model.in_channels: mean)"
        )
    highest = GREY_LEVELS - 1
    return total / number / highest, math.sqrt(spread) / number / highest


def _repeat_edge(pixels_chw: Tensor, height: int, width: int) -> Tensor:
    rows = torch.arange(height).clamp_(max=pixels_chw.shape[1] - 1)
    columns = torch.arange(width).clamp_(max=pixels_chw.shape[2] - 1)
    if pixels_chw.shape[1:] == (height, width):
        return pixels_chw
    return pixels_chw[:, rows[:, None], columns]


def _size_text(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}x{shape[1]}"
