"""How familiar an image is to a network: its encoder's features against those of normal images; no torch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from sever.data.images import Channels, to_grey
from sever.decide.familiarity import Normality
from sever.decide.windows import axis_tiles, padded
from sever.store.origin import digest_of

# Pixels (N, H, W, channels) uint8 to what an encoder sees in each, (N, F), whatever library it runs in.
Features: TypeAlias = Callable[[np.ndarray], np.ndarray]
# Height and width in pixels above which an image is seen in parts, so that an encoder's features fit into memory.
MOST_AT_ONCE = (1024, 2048)


class Familiarity(Protocol):
    """Says how familiar images are to a model."""

    def __call__(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """(N,) in 0..1 of images (H, W, channels) uint8 of any sizes."""
        ...

    @property
    def identity(self) -> str:
        """Digest of all that its answers depend on."""
        ...

    @property
    def least(self) -> float:
        """The lowest answer that there can be."""
        ...


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
    """What sees features, and what is normal among them. `identity`: digest of the network's weights and of that."""

    sight: Sight
    normality: Normality
    identity: str = ""

    @property
    def least(self) -> float:
        return self.normality.least

    def __call__(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """(N,) in 0..1 of images (H, W, channels) uint8, by `Normality.familiarity`."""
        return self.normality.familiarity(self.sight(images))


@dataclass(frozen=True)
class MeanFamiliarity:
    """Of several networks, the mean."""

    members: tuple[Familiarity, ...]

    def __call__(self, images: Sequence[np.ndarray]) -> np.ndarray:
        return np.asarray(np.mean([member(images) for member in self.members], axis=0))

    @property
    def identity(self) -> str:
        return digest_of([member.identity for member in self.members])

    @property
    def least(self) -> float:
        return float(np.mean([member.least for member in self.members]))


def mean_familiarity(members: Sequence[Familiarity | None]) -> Familiarity | None:
    """By the mean of the members; None unless all of them know what is normal."""
    known = tuple(familiar for familiar in members if familiar is not None)
    return MeanFamiliarity(known) if len(known) == len(members) else None
