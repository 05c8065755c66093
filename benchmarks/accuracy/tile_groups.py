"""Groups of the magnetic tiles as the protocol `tile-grouped` has them; frozen, so that its splits stay the same.

A tile was photographed under up to six exposures (exp1..exp6) within a few frames (num), and some tiles again later. So
two images are of one group when their frame numbers are close, or when their pictures, without brightness and coarse
shading, correlate; groups are the connected parts of that graph. For your own images there is `sever data check`, which
needs no frame numbers and finds more.
"""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from sever.data.images import read_image

NEAR_FRAMES = 150
ALIKE = 0.9
SIDE = 48  # pixels at which pictures are compared


def fingerprint(image_hw: np.ndarray) -> np.ndarray:
    """The picture made small, without its coarse shading, of unit length."""
    small = cv2.resize(image_hw, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    detail = small - cv2.GaussianBlur(small, (0, 0), SIDE / 8)
    detail -= detail.mean()
    return (detail / np.linalg.norm(detail)).ravel()


def find_groups(paths: list[Path]) -> np.ndarray:
    """(N,) group number of each image."""
    frames = np.array([int(re.search(r"num_(\d+)", path.name)[1]) for path in paths])  # type: ignore[index]
    prints = np.stack([fingerprint(read_image(path, channels=1)[:, :, 0]) for path in paths])
    alike = prints @ prints.T > ALIKE
    order = np.argsort(frames)
    near = np.flatnonzero(np.diff(frames[order]) <= NEAR_FRAMES)
    alike[order[near], order[near + 1]] = True
    return connected_components(csr_array(alike), directed=False)[1]
