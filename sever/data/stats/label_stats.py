"""What the labels of a data set are like: classes, areas, components, what occurs together; looks at no pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from sever.data import rle
from sever.data.table import ImageTable

# 2 % is where the smallest areas of 2019 come from.
QUANTILES = (0.0, 0.01, 0.02, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True)
class ClassStats:
    """One defect class over the images that show it; areas and spots in pixels of the image.

    `area_share` is the mean share of the image. A spot is a component of 8 neighbours, `spot_sides` the smaller side of
    its box. Lists have one value for each of QUANTILES, and are empty where no image shows the class.
    """

    name: str
    images: int
    areas: tuple[int, ...]
    area_share: float
    spots: int
    spot_areas: tuple[int, ...]
    spot_sides: tuple[int, ...]


@dataclass(frozen=True)
class LabelStats:
    """`together[i][j]`: images that show both classes. `classes_an_image`: how many images show so many classes.

    `sizes`: (height, width, images), the commonest first. `groups`: None where none are known.
    """

    images: int
    clean: int
    classes: tuple[ClassStats, ...]
    together: tuple[tuple[int, ...], ...]
    classes_an_image: dict[int, int]
    sizes: tuple[tuple[int, int, int], ...]
    groups: int | None


def label_stats(table: ImageTable, advance: Callable[[int], None] = lambda images: None) -> LabelStats:
    """All labels counted; `advance` hears of every image that is done."""
    shown = table.has_class()
    areas: list[list[int]] = [[] for _ in table.class_names]
    shares: list[list[float]] = [[] for _ in table.class_names]
    spots: list[list[np.ndarray]] = [[] for _ in table.class_names]
    pixels = table.frame["height"].to_numpy() * table.frame["width"].to_numpy()
    for row in range(len(table)):
        for index in np.flatnonzero(shown[row]).tolist():
            mask_hw = rle.decode(str(table.frame[table.run_columns[index]].iat[row]), *table.size(row))
            areas[index].append(int(np.count_nonzero(mask_hw)))
            shares[index].append(areas[index][-1] / int(pixels[row]))
            spots[index].append(spots_of(mask_hw))
        advance(1)
    counts = Counter(shown.sum(axis=1).tolist())
    groups = table.frame["group"].dropna()
    return LabelStats(
        images=len(table),
        clean=counts[0],
        classes=tuple(
            _class_stats(name, areas[index], shares[index], spots[index])
            for index, name in enumerate(table.class_names)
        ),
        together=tuple(tuple(row) for row in (shown.astype(np.int64).T @ shown.astype(np.int64)).tolist()),
        classes_an_image=dict(sorted(counts.items())),
        sizes=_sizes(table),
        groups=int(groups.nunique()) if len(groups) else None,
    )


def _class_stats(name: str, areas: list[int], shares: list[float], spots: list[np.ndarray]) -> ClassStats:
    found = np.concatenate([*spots, np.zeros((0, 2), np.int64)])
    return ClassStats(
        name=name,
        images=len(areas),
        areas=quantiles(np.array(areas)),
        area_share=float(np.mean(shares)) if shares else 0.0,
        spots=len(found),
        spot_areas=quantiles(found[:, 0]),
        spot_sides=quantiles(found[:, 1]),
    )


def quantiles(values: np.ndarray) -> tuple[int, ...]:
    """The values at QUANTILES, whole numbers that occur among `values`; empty where there are none."""
    if not len(values):
        return ()
    return tuple(int(value) for value in np.quantile(values, QUANTILES, method="inverted_cdf"))


def spots_of(mask_hw: np.ndarray) -> np.ndarray:
    """(spots, 2): pixels, and smaller side of the box, of each component of 8 neighbours."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask_hw, connectivity=8)
    found = stats[1:].astype(np.int64)
    sides = np.minimum(found[:, cv2.CC_STAT_WIDTH], found[:, cv2.CC_STAT_HEIGHT])
    return np.stack([found[:, cv2.CC_STAT_AREA], sides], axis=1)


def _sizes(table: ImageTable) -> tuple[tuple[int, int, int], ...]:
    sizes = Counter(zip(table.frame["height"].tolist(), table.frame["width"].tolist(), strict=True))
    return tuple((int(height), int(width), count) for (height, width), count in sizes.most_common())
