"""The layout of label maps: masks/**/x.png beside images/**/x.EXT and classes.txt; knows no run-length files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from sever.config import DataSettings
from sever.config.mask_values import IGNORED
from sever.data.faults import Skipped
from sever.data.formats.coding import coding_of
from sever.data.formats.export import Exported, Wish
from sever.data.formats.mask_table import mask_table, name_faults
from sever.data.formats.near_masks import NearMasks
from sever.data.formats.pairing import pair, stem_of
from sever.data.images import list_images
from sever.data.listing import list_table
from sever.data.mask_pixels import MASK_SUFFIXES
from sever.data.table import ImageTable
from sever.errors import InputError
from sever.files import atomic_path
from sever.names import inside
from sever.near_names import missing

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
    return mask_table(settings, split, images, pairs, coding, NearMasks(folder, pairs.values()).expected, faults)


def _list_masks(folder: Path) -> dict[str, Path]:
    """Masks by their path below the folder."""
    if not folder.is_dir():
        raise InputError(f"{missing(folder, 'folder')}; images without masks can be predicted, not trained on")
    return {
        path.relative_to(folder).as_posix(): path
        for path in list_images(folder)
        if path.suffix.lower() in MASK_SUFFIXES
    }


def write_mask_folder(folder: Path, images: Iterable[Exported], class_names: Sequence[str], wish: Wish) -> None:
    """masks/x.png as label maps: k is the k-th class, the first of several in a pixel, and IGNORED what is."""
    if len(class_names) >= IGNORED:
        raise InputError(
            f"a label map of 8 bits holds {IGNORED - 1} classes beside what is ignored, not {len(class_names)}"
        )
    stems = Counter[str]()
    for image in images:
        labels_hw = np.zeros(image.size, np.uint8)
        for number, mask_hw in reversed(list(enumerate(image.masks_chw, start=1))):
            labels_hw[mask_hw == 1] = number
        labels_hw[(image.masks_chw == IGNORED).any(axis=0)] = IGNORED
        stems[stem_of(image.image_id)] += 1
        # The second of two images that differ in their suffix alone keeps it in its mask's name.
        name = image.image_id if stems[stem_of(image.image_id)] > 1 else stem_of(image.image_id)
        encoded, buffer = cv2.imencode(".png", labels_hw)
        assert encoded, "OpenCV could not encode a PNG"
        with atomic_path(inside(folder / MASK_FOLDER, f"{name}.png", "image id")) as temporary:
            temporary.write_bytes(buffer.tobytes())
