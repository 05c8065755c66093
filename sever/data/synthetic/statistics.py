"""What a data set of this kind contains: how often classes meet, how much area and how many pieces each has.

Counted over the 12,568 training images of the Kaggle competition "Severstal: Steel Defect Detection" (2019). Draws
numbers only; knows nothing of pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sever.errors import InputError

Frequencies = Literal["real", "balanced"]

# Images that show exactly these classes (0-based), of 12,568.
COMBINATIONS: dict[tuple[int, ...], int] = {
    (): 5902,
    (2,): 4759,
    (0,): 769,
    (3,): 516,
    (2, 3): 284,
    (1,): 195,
    (0, 2): 91,
    (0, 1): 35,
    (1, 2): 14,
    (0, 1, 2): 2,
    (1, 3): 1,
}
# For demonstrations: every class about as often as the others, 30 % clean.
BALANCED: dict[tuple[int, ...], int] = {(): 30, (0,): 15, (1,): 13, (2,): 12, (3,): 14, (0, 1): 5, (0, 2): 2, (2, 3): 7}
TABLES: dict[str, dict[tuple[int, ...], int]] = {"real": COMBINATIONS, "balanced": BALANCED}


@dataclass(frozen=True)
class Family:
    """Share of the image that a class covers where it is present, and its number of pieces."""

    mean_share: float
    low_share: float  # the 2 % quantile
    mean_pieces: float


REFERENCE_PIXELS = 256 * 1600  # the competition's image, in which the 2 % quantiles were counted
FAMILIES = (
    Family(0.0106, 548 / REFERENCE_PIXELS, 3082 / 897),
    Family(0.0082, 715 / REFERENCE_PIXELS, 321 / 247),
    Family(0.0622, 1146 / REFERENCE_PIXELS, 14648 / 5150),
    Family(0.0839, 2959 / REFERENCE_PIXELS, 1907 / 801),
)
NUM_CLASSES = len(FAMILIES)
LOW_QUANTILE_Z = 2.0537  # standard normal: 2 % lie further below
LARGEST_SHARE = 0.45


def draw_combination(rng: np.random.Generator, frequencies: str) -> tuple[int, ...]:
    """The classes (0-based) of one image."""
    if frequencies not in TABLES:
        raise InputError(f"frequencies {frequencies!r} is unknown; choose one of {', '.join(TABLES)}")
    table = TABLES[frequencies]
    counts = np.array(list(table.values()), float)
    return list(table)[rng.choice(len(counts), p=counts / counts.sum())]


def lognormal(family: Family) -> tuple[float, float]:
    """Mean and deviation of log(share) that give the family's mean and its 2 % quantile."""
    z = LOW_QUANTILE_Z
    sigma = -z + math.sqrt(z * z + 2 * math.log(family.mean_share / family.low_share))
    return math.log(family.mean_share) - sigma * sigma / 2, sigma


def draw_share(rng: np.random.Generator, family: Family) -> float:
    """Which part of the image the class covers, 0..1."""
    return min(LARGEST_SHARE, float(rng.lognormal(*lognormal(family))))


def draw_pieces(rng: np.random.Generator, family: Family) -> int:
    """How many separate pieces the class has, at least 1 (geometric, cut at five times the mean)."""
    return int(min(rng.geometric(1 / family.mean_pieces), math.ceil(5 * family.mean_pieces)))
