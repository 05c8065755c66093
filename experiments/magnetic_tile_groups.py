"""Groups of the Magnetic-tile data set, so that no tile stands on both sides of a split: writes a CSV image,group.

    python experiments/magnetic_tile_groups.py data/magnetic_tile data/magnetic_tile_groups.csv

The data set names no groups, but a tile was photographed under up to six exposures (exp1..exp6) within a few frames
(num), and some tiles again later. So two images are of one group when their frame numbers are close, or when their
pictures, without brightness and coarse shading, correlate; groups are the connected parts of that graph.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from sever.data.images import read_image
from sever.files import atomic_path

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


def main(root: str, output: str) -> None:
    paths = sorted((Path(root) / "images").iterdir())
    groups = find_groups(paths)
    with atomic_path(Path(output)) as temporary:
        pd.DataFrame({"image": [path.name for path in paths], "group": groups}).to_csv(temporary, index=False)
    print(f"{len(paths)} images in {groups.max() + 1} groups, the largest of {np.bincount(groups).max()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
