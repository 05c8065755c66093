"""How familiar an image is to a network: how far its features lie from those of normal images; knows no pixels.

Normal features are standardised and turned onto their main directions; an image's distance is measured in standard
deviations along each of these, and along all that normal images hardly vary in, as one more (Mahalanobis distance with
a common variance for the rest: Moghaddam and Pentland 1997). Then it is calibrated: a familiarity is the share of
held-out normal images that lie at least as far (a conformal p-value: Vovk, Gammerman and Shafer 2005). So 0.5 is an
ordinary image, and 0.01 one that is stranger than 99 of 100.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sever.errors import InputError

MOST_DIRECTIONS = 64
# So many normal images for each direction, or its variance is a guess.
IMAGES_A_DIRECTION = 4
LEAST_IMAGES = 8
# What is called unfamiliar: as strange as the strangest of 20 normal images, or stranger.
STRANGE = 0.05
# Of the variance of standardised features: below it there is nothing but rounding.
LEAST_VARIANCE = 1e-3


@dataclass(frozen=True)
class Normality:
    """What normal images look like: F features, K directions, V held-out images.

    `mean_f`, `scale_f`: of the features. `directions_kf`: orthonormal, of standardised features, with their
    `deviations_k`; `rest`: standard deviation of each of the F - K others. `distances_v`: of held-out images, rising.
    """

    mean_f: np.ndarray
    scale_f: np.ndarray
    directions_kf: np.ndarray
    deviations_k: np.ndarray
    rest: float
    distances_v: np.ndarray

    @property
    def least(self) -> float:
        return least_familiarity(len(self.distances_v))

    def distances(self, features_nf: np.ndarray) -> np.ndarray:
        """(N,) root mean square of an image's deviations over all F directions; about 1 for a normal image."""
        scaled_nf = (features_nf - self.mean_f) / self.scale_f
        along_nk = scaled_nf @ self.directions_kf.T
        rest_n = np.maximum((scaled_nf**2).sum(axis=1) - (along_nk**2).sum(axis=1), 0)
        squares_n = ((along_nk / self.deviations_k) ** 2).sum(axis=1) + rest_n / self.rest**2
        return np.sqrt(squares_n / len(self.mean_f))

    def familiarity(self, features_nf: np.ndarray) -> np.ndarray:
        """(N,) in 0..1: the share of normal images, this one among them, that lie at least as far."""
        nearer_n = np.searchsorted(self.distances_v, self.distances(features_nf), side="left")
        return (len(self.distances_v) - nearer_n + 1) / (len(self.distances_v) + 1)


def least_familiarity(held_out: int) -> float:
    """The lowest that so many held-out images allow: few of them say little."""
    return 1 / (held_out + 1)


def learn_normality(features_nf: np.ndarray, held_out_vf: np.ndarray) -> Normality:
    """From features of images that trained the network, and, for the calibration, of images that did not.

    Raises InputError for too few of either, and for features that are no numbers.
    """
    for name, rows in (("training", features_nf), ("validation", held_out_vf)):
        if len(rows) < LEAST_IMAGES:
            raise InputError(
                f"what is normal is learnt from {LEAST_IMAGES} {name} images or more; there are {len(rows)}"
            )
        if not np.isfinite(rows).all():
            raise InputError(f"a network's features of {name} images are not finite numbers; its weights are damaged")
    features_nf = features_nf.astype(np.float64)
    mean_f, scale_f = features_nf.mean(axis=0), features_nf.std(axis=0)
    scale_f = np.where(scale_f > LEAST_VARIANCE * (np.abs(mean_f) + scale_f.max() + 1e-12), scale_f, np.inf)
    scaled_nf = (features_nf - mean_f) / scale_f
    count, features = scaled_nf.shape
    _, values, directions = np.linalg.svd(scaled_nf, full_matrices=False)
    variances = values**2 / (count - 1)
    kept = min(MOST_DIRECTIONS, count // IMAGES_A_DIRECTION, int((variances > LEAST_VARIANCE).sum()), features)
    rest = max(float(variances[kept:].sum()) / max(features - kept, 1), LEAST_VARIANCE)
    bare = Normality(mean_f, scale_f, directions[:kept], np.sqrt(variances[:kept]), rest**0.5, np.zeros(0))
    calibrated = np.sort(bare.distances(held_out_vf.astype(np.float64)))
    return Normality(mean_f, scale_f, bare.directions_kf, bare.deviations_k, bare.rest, calibrated)


def as_arrays(normality: Normality) -> dict[str, np.ndarray]:
    """All of it as arrays of single precision, by name, for a file."""
    return {
        name: np.asarray(value, np.float32).reshape(np.shape(value) or (1,)) for name, value in vars(normality).items()
    }


def from_arrays(arrays: dict[str, Any]) -> Normality:
    """Raises InputError for what is not whole."""
    names = ("mean_f", "scale_f", "directions_kf", "deviations_k", "rest", "distances_v")
    if missing := [name for name in names if name not in arrays]:
        raise InputError(f"it lacks {', '.join(missing)}")
    mean_f, scale_f, directions_kf, deviations_k, rest, distances_v = (
        np.asarray(arrays[name], np.float64) for name in names
    )
    fits = directions_kf.ndim == 2 and directions_kf.shape == (len(deviations_k), len(mean_f)) and rest.size == 1
    if not fits or scale_f.shape != mean_f.shape or not (deviations_k > 0).all() or not (rest > 0).all():
        raise InputError("its arrays don't fit each other")
    # The scale of a feature that never varies is infinite, so that it counts for nothing.
    are_finite = all(np.isfinite(values).all() for values in (mean_f, directions_kf, rest, distances_v))
    if not are_finite or not (scale_f > 0).all():
        raise InputError("its arrays hold values that are not finite")
    return Normality(mean_f, scale_f, directions_kf, deviations_k, float(rest.reshape(-1)[0]), np.sort(distances_v))
