"""The folders of MVTec AD and its kin: train/good, test/CLASS, ground_truth/CLASS/x_mask.png; good images are clean."""

from __future__ import annotations

from pathlib import Path

from sever.config import DataSettings
from sever.data.faults import Skipped
from sever.data.formats.classes import classes_of
from sever.data.formats.coding import Coding, coding_of
from sever.data.formats.mask_table import mask_table, name_faults
from sever.data.formats.pairing import named_masks, pair
from sever.data.images import list_images
from sever.data.listing import table_of_paths
from sever.data.table import ImageTable
from sever.errors import InputError

TRAIN, TEST, TRUTH, GOOD = "train", "test", "ground_truth", "good"
PARTS = (TRAIN, "validation", TEST)


def looks_like_mvtec(root: Path) -> bool:
    return (root / TRAIN / GOOD).is_dir() or (root / TEST / GOOD).is_dir() or (root / TRUTH).is_dir()


def read_mvtec(settings: DataSettings, split: str) -> tuple[ImageTable, list[Skipped]]:
    """All images, ids such as test/scratch/000.png; `data.include` takes a part of them.

    The folder names the class, so its mask says where alone: 0 is background, any one other value is the defect.
    """
    root = settings.root
    images = {
        path.relative_to(root).as_posix(): path
        for part in PARTS
        if (root / part).is_dir()
        for path in list_images(root / part)
    }
    if not images:
        raise InputError(f"{root} has no images in {', '.join(f'{part}/' for part in PARTS)}")
    kinds = {image_id: _kind(image_id) for image_id in images}
    classes = classes_of(settings, sorted(set(kinds.values()) - {GOOD}), f"the folders of {root / TEST}")
    pairs, faults = _masks(root, images)
    masks: dict[str, Path | None] = dict.fromkeys(name for name, kind in kinds.items() if kind == GOOD)
    faults += [
        Skipped(name, None, f"it lies in {GOOD}/, but has the mask {pairs[name]}") for name in masks if name in pairs
    ]
    masks |= {name: path for name, path in pairs.items() if kinds[name] != GOOD}
    codings = {kind: _one_class(classes.names, kind, settings) for kind in set(kinds.values()) - {GOOD}}
    codings[GOOD] = Coding(classes.names, {}, "")

    def expected(image_id: str) -> Path:
        return root / TRUTH / kinds[image_id] / f"{Path(image_id).stem}_mask.png"

    return mask_table(
        settings, split, table_of_paths(images), masks, lambda name: codings[kinds[name]], expected, faults
    )


def _kind(image_id: str) -> str:
    """test/scratch/000.png -> scratch."""
    parts = image_id.split("/")
    if len(parts) < 3:
        raise InputError(f"image {image_id} lies in no folder that names its class (or {GOOD})")
    return parts[1]


def _masks(root: Path, images: dict[str, Path]) -> tuple[dict[str, Path], list[Skipped]]:
    """ground_truth/scratch/000_mask.png is the mask of test/scratch/000.png."""
    if not (root / TRUTH).is_dir():
        return {}, []
    found = named_masks(root / TRUTH, list_images(root / TRUTH))
    masks = {f"{TEST}/{name}": path for name, path in found.items()}
    pairs, unclear, orphans = pair(images, masks)
    return pairs, name_faults(unclear, orphans, masks)


def _one_class(names: tuple[str, ...], kind: str, settings: DataSettings) -> Coding:
    if kind not in names:
        raise InputError(f"the folder {kind} is not a class; by classes.txt there are {', '.join(names)}")
    if settings.mask_values:
        return coding_of(settings)
    own = coding_of(settings.model_copy(update={"mask_values": {"0": "background", "1": kind, "255": kind}}))
    column = names.index(kind)
    columns = {code: column if at >= 0 else at for code, at in own.columns.items()}
    return Coding(names, columns, f"the folder {kind}/ its values are 0, and 1 or 255")
