"""How familiar an image is to a network: its encoder's features against those of normal images; no torch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from sever.data.images import Channels, to_grey
from sever.decide.familiarity import Normality
from sever.decide.windows import axis_tiles, padded

# Pixels (N, H, W, channels) uint8 to what an encoder sees in each, (N, F), whatever library it runs in.
Features: TypeAlias = Callable[[np.ndarray], np.ndarray]
# Images (H, W, channels) uint8 of any sizes to how familiar each is, (N,) in 0..1.
Familiarity: TypeAlias = Callable[[Sequence[np.ndarray]], np.ndarray]
# Height and width in pixels above which an image is seen in parts, so that an encoder's features fit into memory.
MOST_AT_ONCE = (1024, 2048)


@dataclass(frozen=True)
class Sight:
    """What a network's encoder sees in whole images of any size."""

    features: Features
    channels: Channels
    size_multiple: int

    def __call__(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """(N, F) of images (H, W, channels) uint8, one at a time; edges repeat to fill multiples, and a grey network
        takes colours."""
        return np.stack([self._of_image(image_hwc) for image_hwc in images])

    def _of_image(self, image_hwc: np.ndarray) -> np.ndarray:
        """(F,): of an image that is larger than `MOST_AT_ONCE`, the mean over its parts, by their pixels."""
        grey = to_grey(image_hwc) if self.channels == 1 and image_hwc.shape[2] == 3 else image_hwc
        found, pixels = [], []
        for part_hwc in self._parts(grey):
            found.append(self.features(padded(part_hwc, self.size_multiple)[None])[0])
            pixels.append(part_hwc.shape[0] * part_hwc.shape[1])
        return np.average(found, axis=0, weights=pixels).astype(np.float32)

    def _parts(self, image_hwc: np.ndarray) -> Iterator[np.ndarray]:
        rows, columns = (
            axis_tiles(size, most, 0, self.size_multiple)
            for size, most in zip(image_hwc.shape[:2], MOST_AT_ONCE, strict=True)
        )
        for (top, height_weights), (left, width_weights) in itertools.product(rows, columns):
            yield image_hwc[top : top + len(height_weights), left : left + len(width_weights)]


@dataclass(frozen=True)
class Familiar:
    """What sees features, and what is normal among them."""

    sight: Sight
    normality: Normality

    def __call__(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """(N,) in 0..1 of images (H, W, channels) uint8, by `Normality.familiarity`."""
        return self.normality.familiarity(self.sight(images))


def mean_familiarity(members: Sequence[Familiarity | None]) -> Familiarity | None:
    """By the mean of the members; None unless all of them know what is normal."""
    known = [familiar for familiar in members if familiar is not None]
    if len(known) < len(members):
        return None
    return lambda images: np.asarray(np.mean([familiar(images) for familiar in known], axis=0))
