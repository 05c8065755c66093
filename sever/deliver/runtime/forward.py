"""The answers of a graph, held against what they should be; knows no runtime."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sever.errors import InputError

MAPS, LABELS = "maps", "labels"


def expected_shapes(pixels_nhwc: np.ndarray, num_classes: int) -> dict[str, tuple[int, ...]]:
    """Of each answer by name."""
    images, height, width, _ = pixels_nhwc.shape
    return {MAPS: (images, num_classes, height, width), LABELS: (images, num_classes)}


def checked(
    answers: Mapping[str, np.ndarray], pixels_nhwc: np.ndarray, num_classes: int
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The graph's answers by name. Raises InputError where they are not of so many classes, or not of the images."""
    images, height, width, _ = pixels_nhwc.shape
    expected = expected_shapes(pixels_nhwc, num_classes)
    for name, answer in answers.items():
        if name not in expected or answer.shape != expected[name]:
            raise InputError(
                f"the bundle's graph answers {name} {answer.shape} to {images} images of {height}x{width} pixels, not "
                f"{expected.get(name, 'maps or labels')}: it does not belong to its {num_classes} classes"
            )
    maps, labels = (answers.get(name) for name in (MAPS, LABELS))
    return maps, labels


def checked_features(features_nf: np.ndarray, count: int) -> np.ndarray:
    """(N, F) as they are. Raises InputError where a graph sees another number of features than it should."""
    if features_nf.ndim != 2 or features_nf.shape[1] != count:
        raise InputError(f"the bundle's graph of features answers {features_nf.shape}, not {count} for each image")
    return features_nf
