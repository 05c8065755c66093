"""An image that a program hands over as an array, as the model wants it; reads no files."""

from __future__ import annotations

from typing import Any

import numpy as np

from sever.data.reader import ImageReader
from sever.errors import InputError


def as_pixels(image: Any, read: ImageReader) -> np.ndarray:
    """(H, W, channels) uint8. Raises InputError for another shape or type, and for what is no array."""
    if not isinstance(image, np.ndarray):
        raise InputError(
            f"an image is a path or a numpy array, and several are a list of such, not {type(image).__name__}; "
            "numpy.asarray(...) makes an array of what other libraries have"
        )
    shaped = image[..., None] if image.ndim == 2 else image
    dtype = image.dtype.newbyteorder("=")
    if shaped.ndim != 3 or shaped.shape[2] not in (1, 3) or 0 in image.shape or dtype not in (np.uint8, np.uint16):
        raise InputError(
            "an image is an array (H, W), (H, W, 1) grey or (H, W, 3) RGB of uint8 or uint16 with at least one pixel, "
            f"not {image.shape} of {image.dtype}; probabilities or floats in 0..1 are to be multiplied by 255 first"
        )
    return read.take(np.asarray(shaped, dtype))
