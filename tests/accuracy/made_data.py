"""Data sets of a few small images in the layouts of the public ones, whose every label is known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

SIDE = 32


def make_neu(data: Path, groups_a_class: int = 5, copies: int = 2) -> Path:
    """neu_seg/: `copies` of each group, one in training/ and the others in test/, and two composites."""
    root, rows, number = data / "neu_seg", ["split,image,classes,group"], 0
    kinds = {"In": 1, "Pa": 2, "Sc": 3}
    names = [(f"{kind}_{index}", label) for kind, label in kinds.items() for index in range(groups_a_class)]
    for group, label in [*names, ("composite", 1), ("composite", 2)]:
        for copy in range(copies if group != "composite" else 1):
            part, number = ("training" if copy == 0 else "test"), number + 1
            _write(root, f"{part}/{number:06d}", label, seed=number)
            rows.append(f"{part},{number:06d}.jpg,{label},{group}")
    (root / "groups.csv").write_text("\n".join(rows) + "\n")
    (root / "classes.txt").write_text("inclusion\npatches\nscratches\n")
    return data


def make_tiles(data: Path, clean: int = 6, exposures: int = 2) -> Path:
    """magnetic_tile/: six tiles a kind, each under several exposures a frame apart, far from the next tile's."""
    root, frame = data / "magnetic_tile", 0
    kinds = ["blowhole", "break", "crack", "fray", "uneven"]
    for label, kind in enumerate([*kinds, *["free"] * (clean // 6)], start=1):
        for _ in range(6):
            frame += 10_000
            for exposure in range(exposures):
                name = f"{kind}_exp{exposure + 1}_num_{frame + exposure}"
                _write(root, name, 0 if kind == "free" else label, seed=frame)
    (root / "classes.txt").write_text("\n".join(kinds) + "\n")
    return data


def _write(root: Path, name: str, label: int, seed: int) -> None:
    """A noisy image whose left half is bright, and of class `label`."""
    rng = np.random.default_rng(seed)
    image_hw = rng.integers(20, 90, (SIDE, SIDE), dtype=np.uint8)
    labels_hw = np.zeros((SIDE, SIDE), np.uint8)
    if label:
        image_hw[:, : SIDE // 2] += np.uint8(40 * label)
        labels_hw[:, : SIDE // 2] = label
    for kind, suffix, pixels in (("images", ".jpg", image_hw), ("masks", ".png", labels_hw)):
        path = root / kind / f"{name}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), pixels)
