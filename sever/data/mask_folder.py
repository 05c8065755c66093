"""The layout of label maps: masks/**/x.png beside images/**/x.EXT and classes.txt; knows no run-length files."""

from __future__ import annotations

from pathlib import Path

from sever.config import DataSettings
from sever.data.faults import Skipped
from sever.data.formats.coding import coding_of
from sever.data.formats.mask_table import mask_table, name_faults
from sever.data.formats.pairing import pair, stem_of
from sever.data.images import list_images
from sever.data.listing import list_table
from sever.data.mask_pixels import MASK_SUFFIXES
from sever.data.table import ImageTable
from sever.errors import InputError

IMAGE_FOLDER = "images"
MASK_FOLDER = "masks"
SPLITS = ("train", "test")


def looks_like_mask_folder(root: Path) -> bool:
    """Whether anything of this layout is there, so that what is missing of it can be told."""
    return (root / IMAGE_FOLDER).is_dir() or (root / MASK_FOLDER).is_dir()


def read_mask_folder(settings: DataSettings, split: str = "train") -> tuple[ImageTable, list[Skipped]]:
    """All images with their labels; for split "test" without, so that masks/ may be absent.

    The second value is what was left out, where settings.skip_bad allows it. Raises InputError for any other fault.
    """
    if split not in SPLITS:
        raise InputError(f"split {split!r} does not exist; there are {', '.join(SPLITS)}")
    coding = coding_of(settings)
    images, folder = list_table(settings.root / IMAGE_FOLDER), settings.labels or settings.root / MASK_FOLDER
    masks = {} if split == "test" else _list_masks(folder)
    pairs, unclear, orphans = pair(images.image_ids, masks)
    faults = name_faults(unclear, orphans, masks)
    return mask_table(
        settings, split, images, pairs, coding, lambda image_id: folder / f"{stem_of(image_id)}.png", faults
    )


def _list_masks(folder: Path) -> dict[str, Path]:
    """Masks by their path below the folder."""
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; images without masks can be predicted, not trained on")
    return {
        path.relative_to(folder).as_posix(): path
        for path in list_images(folder)
        if path.suffix.lower() in MASK_SUFFIXES
    }
