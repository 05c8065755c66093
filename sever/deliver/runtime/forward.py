"""The answers of a graph, held against what they should be; knows no runtime."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sever.errors import InputError

MAPS, LABELS = "maps", "labels"


def checked(
    answers: Mapping[str, np.ndarray], pixels_nhwc: np.ndarray, num_classes: int
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The graph's answers by name. Raises InputError where they are not of so many classes, or not of the images."""
    images, height, width, _ = pixels_nhwc.shape
    expected = {MAPS: (images, num_classes, height, width), LABELS: (images, num_classes)}
    for name, answer in answers.items():
        if name not in expected or answer.shape != expected[name]:
            raise InputError(
                f"the bundle's graph answers {name} {answer.shape} to {images} images of {height}x{width} pixels, not "
                f"{expected.get(name, 'maps or labels')}: it does not belong to its {num_classes} classes"
            )
    maps, labels = (answers.get(name) for name in (MAPS, LABELS))
    return maps, labels
