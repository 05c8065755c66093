"""Two whole images cut to what both show, the second turned like the first; knows nothing of how pairs are found."""

from __future__ import annotations

import numpy as np

from sever.data.duplicates.alignment import TURNS, Alignment, shared_parts


def lay_on(first_hwc: np.ndarray, second_hwc: np.ndarray, alignment: Alignment) -> tuple[np.ndarray, np.ndarray]:
    """Both (h, w, ...) of the same shape: the part of each that the other shows. Exact to a pixel of the search."""
    height, width = first_hwc.shape[:2]
    turned = np.stack([TURNS[alignment.turn](second_hwc[..., i]) for i in range(second_hwc.shape[2])], axis=-1)
    shift = round(alignment.down * height), round(alignment.right * width)
    first_part, second_part = shared_parts(first_hwc.shape[:2], turned.shape[:2], shift)
    return first_hwc[first_part], turned[second_part]
