"""All pairs of near-duplicates among many images: fingerprints, candidates, alignment; knows no labels."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sever.data.duplicates.alignment import Alignment, SmallPicture, align
from sever.data.duplicates.candidates import find_candidates
from sever.data.duplicates.fingerprint import shrink_factor, small_picture, speckle, without_light
from sever.data.images import read_image

# Height of the phase correlation's peak from which two pictures show the same piece of steel (docs/results.md).
LEAST_LIKENESS = 0.35
# Of strangers the highest peak is about this over the side of the small picture, so that tiny ones resemble each other
# by chance: they count from above that, and the tiniest only where they are equal.
STRANGERS, EQUAL = 16.0, 0.98
PICTURES_KEPT = 500
Advance = Callable[[str, int, int], None]


class Duplicate(NamedTuple):
    """Two images, by their numbers, first < second, and how they lie on each other."""

    first: int
    second: int
    alignment: Alignment
    is_exact: bool  # equal pixels


class _Print(NamedTuple):
    speckle: np.ndarray
    digest: bytes


class _Reader(NamedTuple):
    """Images as they are compared; small enough to be sent to threads."""

    paths: Sequence[Path]
    sizes: Sequence[tuple[int, int]]
    factor: float
    significant_bits: int

    def fingerprint(self, at: int) -> _Print:
        image_hw = self._read(at)
        digest = hashlib.blake2b(repr(image_hw.shape).encode() + image_hw.tobytes(), digest_size=16).digest()
        return _Print(speckle(without_light(small_picture(image_hw, self.factor))), digest)

    def picture(self, at: int) -> SmallPicture:
        return SmallPicture(without_light(small_picture(self._read(at), self.factor)))

    def _read(self, at: int) -> np.ndarray:
        return read_image(self.paths[at], 1, self.significant_bits, math.prod(self.sizes[at]))[..., 0]


def find_duplicates(
    paths: Sequence[Path],
    sizes: Sequence[tuple[int, int]],
    least_overlap: float,
    significant_bits: int = 16,
    advance: Advance = lambda stage, done, total: None,
    parts: np.ndarray | None = None,
) -> list[Duplicate]:
    """Pairs that share at least `least_overlap` of the smaller image, in the order of their numbers.

    `sizes` are height and width of each image. With `parts`, one number an image, only pairs of unequal parts.
    Light, noise, compression, mirroring and quarter turns don't matter; scale does. `advance` hears what is done: a
    stage's name, how many steps are done, of how many.
    Raises InputError where an image can't be read.
    """
    reader = _Reader(paths, sizes, shrink_factor(list(sizes)), significant_bits)
    prints = _fingerprints(reader, advance)
    speckles = np.stack([each.speckle for each in prints])
    candidates = find_candidates(speckles, lambda done: advance("comparing", done, len(speckles)))
    if parts is not None:
        candidates = [each for each in candidates if parts[each[0]] != parts[each[1]]]
    picture = lru_cache(PICTURES_KEPT)(reader.picture)
    found = []
    for done, (first, second, turn) in enumerate(candidates):
        alignment = align(picture(first), picture(second), (turn,))
        least = _least_likeness(picture(first).detail_hw, picture(second).detail_hw)
        if alignment is not None and alignment.likeness >= least and alignment.overlap >= least_overlap:
            found.append(Duplicate(first, second, alignment, prints[first].digest == prints[second].digest))
        advance("aligning", done + 1, len(candidates))
    return found


def _least_likeness(*details_hw: np.ndarray) -> float:
    side = math.sqrt(min(each.size for each in details_hw))
    return min(max(LEAST_LIKENESS, STRANGERS / side), EQUAL)


def _fingerprints(reader: _Reader, advance: Advance) -> list[_Print]:
    prints: list[_Print] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for each in pool.map(reader.fingerprint, range(len(reader.paths))):
            prints.append(each)
            advance("reading", len(prints), len(reader.paths))
    return prints
