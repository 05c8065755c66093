"""A copy of a data set some of whose masks are made wrong, and which, for benchmarks of what finds wrong labels.

Images come from distinct groups first, so that few images show much steel; images of no group of their own (composites)
are left out. A fault is of one image: its mask dropped, moved, given another class, or with a foreign mask added.
"""

from __future__ import annotations

import csv
import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sever.errors import InputError

DROPPED, EXTRA, MOVED, SWAPPED = "dropped", "extra", "moved", "swapped"
NONE = "none"
NO_GROUP = ("composite", "unmatched")


@dataclass(frozen=True)
class Planted:
    """Where the copy lies, and which fault each image has, by its id."""

    root: Path
    fault_of: dict[str, str]


def plant(source: Path, target: Path, images: int, shares: dict[str, float], pixels: int, seed: int) -> Planted:
    """Write `images` images of `source` (images/SPLIT, masks/SPLIT, groups.csv) to `target` with faults in their masks.

    `shares`: of the images, by fault. `pixels`: how far a mask is moved. A copy that is there is used again.
    """
    truth_file = target / "faults.csv"
    if not truth_file.is_file():
        rng = np.random.default_rng(seed)
        rows = _chosen(source, images, rng)
        faults = _assigned(len(rows), shares, rng)
        classes = len((source / "classes.txt").read_text(encoding="utf-8").split())
        _write(source, target, rows, faults, _Spoiler(classes, pixels, rng))
    with truth_file.open(encoding="utf-8") as file:
        return Planted(target, {row["image"]: row["fault"] for row in csv.DictReader(file)})


def mend(planted: Planted, source: Path, target: Path, image_ids: set[str]) -> None:
    """Another copy, with the true masks for these images."""
    if target.is_dir():
        return
    shutil.copytree(planted.root, target)
    for image_id in image_ids:
        split, _, name = Path(image_id).with_suffix(".png").name.partition("-")
        shutil.copyfile(source / "masks" / split / name, target / "masks" / f"{split}-{name}")


def _chosen(source: Path, images: int, rng: np.random.Generator) -> list[dict[str, str]]:
    """One of each group, then a second one, and so on, until there are enough."""
    with (source / "groups.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["group"] not in NO_GROUP]
    members: dict[str, list[dict[str, str]]] = defaultdict(list)
    for at in rng.permutation(len(rows)).tolist():
        members[rows[at]["group"]].append(rows[at])
    ranked = [(place, row) for same in members.values() for place, row in enumerate(same)]
    if images > len(ranked):
        raise InputError(f"{source} has {len(ranked)} images with a group, fewer than {images}")
    return [row for _, row in sorted(ranked, key=lambda each: each[0])][:images]


def _assigned(count: int, shares: dict[str, float], rng: np.random.Generator) -> list[str]:
    faults = [fault for fault, share in shares.items() for _ in range(round(share * count))]
    faults += [NONE] * (count - len(faults))
    return [faults[at] for at in rng.permutation(count)]


@dataclass(frozen=True)
class _Spoiler:
    num_classes: int
    pixels: int
    rng: np.random.Generator

    def spoil(self, labels_hw: np.ndarray, other_hw: np.ndarray, fault: str) -> np.ndarray:
        """The label map with a fault; `other_hw` is another image's, for a foreign mask."""
        if fault == DROPPED:
            return np.zeros_like(labels_hw)
        if fault == MOVED:
            steps = [(d, r) for d in (-1, 0, 1) for r in (-1, 0, 1) if d or r]
            down, right = steps[self.rng.integers(len(steps))]
            return _moved(labels_hw, down * self.pixels, right * self.pixels)
        if fault == SWAPPED:
            by = self.rng.integers(1, self.num_classes)
            return np.where(labels_hw == 0, 0, (labels_hw - 1 + by) % self.num_classes + 1).astype(labels_hw.dtype)
        if fault == EXTRA:
            return np.where(labels_hw == 0, _largest(other_hw), labels_hw)
        return labels_hw


def _moved(labels_hw: np.ndarray, down: int, right: int) -> np.ndarray:
    height, width = labels_hw.shape
    shift = np.array([[1, 0, right], [0, 1, down]], np.float32)
    return cv2.warpAffine(labels_hw, shift, (width, height), flags=cv2.INTER_NEAREST)


def _largest(labels_hw: np.ndarray) -> np.ndarray:
    """The largest connected part of a label map alone."""
    _, parts, sizes, _ = cv2.connectedComponentsWithStats((labels_hw != 0).astype(np.uint8))
    return np.where(parts == 1 + sizes[1:, cv2.CC_STAT_AREA].argmax(), labels_hw, 0) if len(sizes) > 1 else labels_hw


def _write(source: Path, target: Path, rows: list[dict[str, str]], faults: list[str], spoiler: _Spoiler) -> None:
    for part in ("images", "masks"):
        (target / part).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / "classes.txt", target / "classes.txt")
    masks = [_mask_of(source, row) for row in rows]
    for at, (row, fault) in enumerate(zip(rows, faults, strict=True)):
        shutil.copyfile(source / "images" / row["split"] / row["image"], target / "images" / _name(row))
        wrong_hw = spoiler.spoil(masks[at], masks[at - 1], fault)
        cv2.imwrite(str((target / "masks" / _name(row)).with_suffix(".png")), wrong_hw)
    _table(target / "groups.csv", ("image", "group"), [(_name(row), row["group"]) for row in rows])
    told = [(_name(row), fault) for row, fault in zip(rows, faults, strict=True)]
    _table(target / "faults.csv", ("image", "fault"), told)  # last: a copy with this file is whole


def _name(row: dict[str, str]) -> str:
    """Both splits use the same file names."""
    return f"{row['split']}-{row['image']}"


def _mask_of(source: Path, row: dict[str, str]) -> np.ndarray:
    path = (source / "masks" / row["split"] / row["image"]).with_suffix(".png")
    labels_hw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert labels_hw is not None, path
    return labels_hw


def _table(path: Path, head: tuple[str, ...], rows: list[tuple[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *rows])
