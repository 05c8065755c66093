"""Settings that follow from a data set's numbers, each with its reason; a person or `sever plan` decides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sever.data.crops import fitting_crop
from sever.data.stats.label_stats import QUANTILES, LabelStats
from sever.data.stats.pixel_stats import PixelStats

SMALL_QUANTILE = 0.01  # of areas; half of it drops next to no true mask
# Fewer images of a class say little of how small its masks can be.
MANY_LABELS = 30
RARE = 10  # times as many images of the commonest class as of the rarest


@dataclass(frozen=True)
class Proposal:
    """A setting, the value proposed for it, and why."""

    setting: str
    value: Any
    why: str


def propose(labels: LabelStats, pixels: PixelStats) -> list[Proposal]:
    """What the numbers speak for; nothing is said where the default will do."""
    return [*_areas(labels), *_crop(labels), *_bits(pixels), *_channels(pixels), *_balance(labels)]


def _areas(labels: LabelStats) -> list[Proposal]:
    at = QUANTILES.index(SMALL_QUANTILE)
    areas = [smallest_area(each.areas[at], each.images) if each.areas else 0 for each in labels.classes]
    if not any(areas):
        return []
    return [Proposal("rules.min_pixels", areas, why_so_small(each.images for each in labels.classes if each.areas))]


def smallest_area(small_quantile: int, images: int) -> int:
    """The smallest mask of a class that counts, by the area at SMALL_QUANTILE of so many images with the class."""
    return small_quantile // (2 if images >= MANY_LABELS else 10)


def why_so_small(images: Iterable[int]) -> str:
    """What `smallest_area` does for classes of so many images, in words."""
    few = any(count < MANY_LABELS for count in images)
    less = f"; a tenth of the smallest label of fewer than {MANY_LABELS}" if few else ""
    return f"pixels: half of what 99 in 100 labels have{less}; `sever tune` chooses better ones out of fold"


def _crop(labels: LabelStats) -> list[Proposal]:
    height, width, count = labels.sizes[0]
    largest = max(h for h, _, _ in labels.sizes), max(w for _, w, _ in labels.sizes)
    crop = fitting_crop(largest, (height, width))
    if crop is None:
        return [Proposal("augment.crop", None, f"images are small, at most {largest[0]}x{largest[1]}: whole ones fit")]
    seen = min(1.0, crop[0] * crop[1] / (height * width))
    return [
        Proposal("augment.crop", list(crop), f"{count} images are {height}x{width}; a crop shows {seen:.0%} of one")
    ]


def _bits(pixels: PixelStats) -> list[Proposal]:
    if pixels.bits_used is None or pixels.bits_used in (8, 16):
        return []
    why = (
        f"no pixel of the 16-bit images needs more than {pixels.bits_used} bits; by default they would be nearly black"
    )
    return [Proposal("data.significant_bits", pixels.bits_used, why)]


def _channels(pixels: PixelStats) -> list[Proposal]:
    if pixels.coloured:
        return [Proposal("model.in_channels", "rgb", f"{pixels.coloured} of {pixels.images} images have colours")]
    return []


def _balance(labels: LabelStats) -> list[Proposal]:
    counts = [each.images for each in labels.classes if each.images]
    if len(counts) > 1 and max(counts) > RARE * min(counts):
        why = f"the commonest class is in {max(counts)} images, the rarest in {min(counts)}; compare with `none`"
        return [Proposal("sampling.balance", "class", why)]
    return []
