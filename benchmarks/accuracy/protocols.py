"""Protocols: which images train, which test, and how they are split; knows no contender and no score.

Data is read where it lies. A split depends on the data and the fold alone, never on the seed of a training, so that
contenders and seeds can be compared in pairs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from sever.data.images import read_image
from sever.data.synthetic import make_strip
from sever.errors import InputError
from sever.files import atomic_folder

from .scoring import to_labels
from .tile_groups import find_groups

NEU_FOLDS, TILE_FOLDS = 5, 3
TILE_TEST_SHARE = 0.2
STRIP_CLASSES = (1, 2, 3, 4)
STRIP_IMAGES, STRIP_SEED, STRIP_SIZE = 1000, 0, (256, 1600)
STRIP_FOLDER = f"sever-accuracy-strip-{STRIP_IMAGES}-{STRIP_SEED}"
# Blends of several base images; no copy of a test image may hide in one.
COMPOSITE = "composite"


@dataclass(frozen=True)
class Sample:
    """One image and its label map (0 background, k the k-th class); samples of one group are copies of each other."""

    name: str
    image: Path
    mask: Path | None
    group: str

    def read_image(self) -> np.ndarray:
        """(H, W) uint8, grey."""
        return read_image(self.image, channels=1)[:, :, 0]

    def read_labels(self) -> np.ndarray:
        """(H, W) uint8."""
        assert self.mask is not None, f"{self.name} has no label map"
        labels_hw = cv2.imread(str(self.mask), cv2.IMREAD_UNCHANGED)
        if labels_hw is None or labels_hw.ndim != 2:
            raise InputError(f"{self.mask} is no label map of one channel")
        return labels_hw


@dataclass(frozen=True)
class Split:
    """What a contender gets. `squash`: side in pixels to which a plain loop resizes whole images; None pads them.

    `shown`: where test images have no label maps, the classes (1..C) that each shows, in their order.
    """

    class_names: tuple[str, ...]
    train: tuple[Sample, ...]
    test: tuple[Sample, ...]
    squash: int | None = None
    shown: tuple[frozenset[int], ...] | None = None

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


def neu_official(data: Path, fold: int) -> Split:
    """The published split, 3,630 and 840 images; it leaks (docs/results.md)."""
    _check_fold(fold, 1)
    root = data / "neu_seg"
    samples = _neu_samples(root)
    train = [sample for sample in samples if sample.name.startswith("training/")]
    test = [sample for sample in samples if sample.name.startswith("test/")]
    return Split(_class_names(root), tuple(train), tuple(test))


def neu_grouped(data: Path, fold: int) -> Split:
    """Both parts together, a fifth of the base images of each class held out; composites are left out."""
    samples = [sample for sample in _neu_samples(data / "neu_seg") if sample.group != COMPOSITE]
    train, test = _hold_out_groups(samples, fold)
    return Split(_class_names(data / "neu_seg"), train, test)


def neu_grouped_composites(data: Path, fold: int) -> Split:
    """The same test images; composites train too."""
    plain = neu_grouped(data, fold)
    composites = [sample for sample in _neu_samples(data / "neu_seg") if sample.group == COMPOSITE]
    return Split(plain.class_names, (*plain.train, *composites), plain.test)


def tile_grouped(data: Path, fold: int) -> Split:
    """All 1,344 magnetic tiles, clean ones too; a tile's exposures stand on one side of the split."""
    _check_fold(fold, TILE_FOLDS)
    samples = _tile_samples(data / "magnetic_tile")
    groups = find_groups([sample.image for sample in samples])
    kinds = [sample.name.split("_")[0] for sample in samples]
    folds = StratifiedGroupKFold(TILE_FOLDS, shuffle=True, random_state=0).split(samples, kinds, groups)
    train_rows, test_rows = list(folds)[fold]
    grouped = [Sample(s.name, s.image, s.mask, str(group)) for s, group in zip(samples, groups, strict=True)]
    train, test = (tuple(grouped[row] for row in rows) for rows in (train_rows, test_rows))
    return Split(_class_names(data / "magnetic_tile"), train, test, squash=256)


def tile_published(data: Path, fold: int) -> Split:
    """The 388 tiles with a defect, a random fifth held out, as most papers have it: exposures of a tile leak."""
    samples = [sample for sample in _tile_samples(data / "magnetic_tile") if sample.read_labels().any()]
    order = np.random.default_rng(fold).permutation(len(samples))
    held_out = set(order[: round(TILE_TEST_SHARE * len(samples))].tolist())
    train = tuple(sample for row, sample in enumerate(samples) if row not in held_out)
    test = tuple(samples[row] for row in sorted(held_out))
    return Split(_class_names(data / "magnetic_tile"), train, test, squash=256)


def strip(data: Path, fold: int) -> Split:
    """From synthetic strip to genuine strip: 1,000 drawn images train, 25 real ones test, by what they show."""
    _check_fold(fold, 1)
    root = data / "severstal"
    table = pd.read_csv(root / "image_labels.csv", dtype={"ImageId": str})
    shown = tuple(frozenset(k for k in STRIP_CLASSES if row[f"c{k}"]) for _, row in table.iterrows())
    images = [root / "train_images" / name for name in table["ImageId"]]
    test = tuple(Sample(path.name, path, None, path.stem) for path in images)
    return Split(
        tuple(map(str, STRIP_CLASSES)), draw_strip(Path(tempfile.gettempdir()) / STRIP_FOLDER), test, shown=shown
    )


def draw_strip(folder: Path, count: int = STRIP_IMAGES) -> tuple[Sample, ...]:
    """Synthetic strip with label maps; drawn once, since it is the same wherever it is drawn."""
    if not folder.is_dir():
        with atomic_folder(folder) as root:
            for index in range(count):
                image_hw, masks_chw = make_strip(STRIP_SEED, index, *STRIP_SIZE)
                cv2.imwrite(str(root / f"{index:04d}.jpg"), image_hw, [cv2.IMWRITE_JPEG_QUALITY, 90])
                cv2.imwrite(str(root / f"{index:04d}.png"), to_labels(masks_chw))
    names = [f"{index:04d}" for index in range(count)]
    return tuple(Sample(f"{name}.jpg", folder / f"{name}.jpg", folder / f"{name}.png", name) for name in names)


PROTOCOLS: dict[str, Callable[[Path, int], Split]] = {
    "neu-official": neu_official,
    "neu-grouped": neu_grouped,
    "neu-grouped-composites": neu_grouped_composites,
    "tile-grouped": tile_grouped,
    "tile-published": tile_published,
    "strip": strip,
}


def _hold_out_groups(samples: Sequence[Sample], fold: int) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Training and test samples: of each class (the start of a group's name), every NEU_FOLDS-th group in a random
    order is held out."""
    _check_fold(fold, NEU_FOLDS)
    rng = np.random.default_rng(0)
    names = sorted({sample.group for sample in samples})
    held_out: set[str] = set()
    for kind in sorted({name.split("_")[0] for name in names}):
        own = rng.permutation([name for name in names if name.split("_")[0] == kind])
        held_out |= set(own[fold::NEU_FOLDS].tolist())
    train = tuple(sample for sample in samples if sample.group not in held_out)
    return train, tuple(sample for sample in samples if sample.group in held_out)


def _neu_samples(root: Path) -> list[Sample]:
    groups = pd.read_csv(root / "groups.csv", dtype=str)
    names = [f"{part}/{image}" for part, image in zip(groups["split"], groups["image"], strict=True)]
    return [_sample(root, name, group) for name, group in sorted(zip(names, groups["group"], strict=True))]


def _tile_samples(root: Path) -> list[Sample]:
    return [_sample(root, path.name, path.stem) for path in sorted((root / "images").glob("*.jpg"))]


def _sample(root: Path, name: str, group: str) -> Sample:
    return Sample(name, root / "images" / name, (root / "masks" / name).with_suffix(".png"), group)


def _class_names(root: Path) -> tuple[str, ...]:
    return tuple((root / "classes.txt").read_text(encoding="utf-8").split())


def _check_fold(fold: int, count: int) -> None:
    if not 0 <= fold < count:
        raise InputError(f"--fold {fold} does not exist here: allowed are 0..{count - 1}")
