"""What a data set is like, in a few numbers: sizes, classes, areas, grain, grey or colour; knows no network or plan.

Labels are counted over all images. What needs pixels is measured on some of them, spread evenly over the table, so that
the same data set always gives the same numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from sever.data.images import read_image
from sever.data.stats.label_stats import spots_of
from sever.data.table import ImageTable

# Images of each class whose components are measured, and images whose pixels are.
LABELS_LOOKED_AT, PIXELS_LOOKED_AT = 60, 40
# The grain ends where neighbours have less than this in common.
ALIKE = 0.5
LONGEST_GRAIN = 32


@dataclass(frozen=True)
class ClassFacts:
    """One defect class; pixels are those of the images as stored.

    area_low, area_median: of its mask in an image that shows it, 1 % quantile and median.
    spot_median: of one connected component; spot_side: the smaller side of a component's bounding box, median.
    """

    name: str
    images: int
    area_low: int
    area_median: int
    spot_median: int
    spot_side: int


@dataclass(frozen=True)
class Fingerprint:
    """A data set in numbers. `sizes` are (height, width): the smallest and the largest of each side, and the commonest.

    grain: pixels over which the texture stays alike, along rows and columns, the shorter one.
    overlap_images: of those looked at, how many have pixels of two classes. groups: None where none are known.
    """

    images: int
    clean_images: int
    smallest: tuple[int, int]
    largest: tuple[int, int]
    commonest: tuple[int, int]
    grey: bool
    grain: int
    classes: tuple[ClassFacts, ...]
    overlap_images: int
    groups: int | None

    @property
    def one_size(self) -> bool:
        return self.smallest == self.largest


def take_fingerprint(table: ImageTable) -> Fingerprint:
    """Raises InputError for an image that can't be read."""
    heights, widths = table.frame["height"].to_numpy(), table.frame["width"].to_numpy()
    has_class, groups = table.has_class(), table.frame["group"].dropna()
    sizes, counts = np.unique(np.stack([heights, widths], axis=1), axis=0, return_counts=True)
    looked_at = [
        read_image(table.path(row), channels=3, max_pixels=math.prod(table.size(row)))
        for row in _spread(np.arange(len(table)), PIXELS_LOOKED_AT)
    ]
    defective = _spread(np.flatnonzero(has_class.any(axis=1)), LABELS_LOOKED_AT)
    return Fingerprint(
        images=len(table),
        clean_images=int((~has_class.any(axis=1)).sum()),
        smallest=(int(heights.min()), int(widths.min())),
        largest=(int(heights.max()), int(widths.max())),
        commonest=(int(sizes[counts.argmax()][0]), int(sizes[counts.argmax()][1])),
        grey=all((image == image[..., :1]).all() for image in looked_at),
        grain=int(np.median([grain_of(image[..., 0]) for image in looked_at])),
        classes=tuple(_class_facts(table, index, has_class[:, index]) for index in range(table.num_classes)),
        overlap_images=sum(bool(((table.mask(row) == 1).sum(axis=0) > 1).any()) for row in defective),
        groups=int(groups.nunique()) if len(groups) else None,
    )


def grain_of(image_hw: np.ndarray) -> int:
    """Pixels until a texture, without its coarse shading, is less than half alike to itself; the shorter direction."""
    detail = image_hw.astype(np.float32)
    detail -= cv2.blur(detail, (4 * LONGEST_GRAIN + 1,) * 2)
    return min(_grain_along(detail), _grain_along(np.ascontiguousarray(detail.T)))


def _grain_along(detail_hw: np.ndarray) -> int:
    """The first shift along the rows at which the correlation is below ALIKE."""
    power = float((detail_hw**2).mean())
    for shift in range(1, min(LONGEST_GRAIN, detail_hw.shape[1] - 1)):
        if float((detail_hw[:, shift:] * detail_hw[:, :-shift]).mean()) < ALIKE * power:
            return shift
    return LONGEST_GRAIN


def _class_facts(table: ImageTable, index: int, shown: np.ndarray) -> ClassFacts:
    rows = np.flatnonzero(shown)
    if not len(rows):
        return ClassFacts(table.class_names[index], 0, 0, 0, 0, 0)
    areas = np.array([_area(str(runs)) for runs in table.frame[table.run_columns[index]].to_numpy()[rows]])
    spots = np.concatenate(
        [spots_of((table.mask(row)[index] == 1).view(np.uint8)) for row in _spread(rows, LABELS_LOOKED_AT)]
    )
    return ClassFacts(
        name=table.class_names[index],
        images=len(rows),
        area_low=int(np.quantile(areas, 0.01)),
        area_median=int(np.median(areas)),
        spot_median=int(np.median(spots[:, 0])),
        spot_side=int(np.median(spots[:, 1])),
    )


def _area(runs: str) -> int:
    """Pixels of run lengths: every second number is a length."""
    return sum(map(int, runs.split()[1::2]))


def _spread(rows: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the rows, evenly spread over them."""
    if len(rows) <= count:
        return rows
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(int)]
