"""Masks beside their images, told by their names: x_mask, x_GT, x_label, also in a folder of their own below.

So KolektorSDD (kos01/Part0.jpg, kos01/Part0_label.bmp), KolektorSDD2 (10000.png, 10000_GT.png) and DAGM
(Train/0576.PNG, Train/Label/0576_label.PNG), and Roboflow's semantic masks, whose _classes.csv says what values mean.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from sever.config import DataSettings
from sever.counted import counted
from sever.data.faults import Skipped
from sever.data.formats.annotations import image_base
from sever.data.formats.coding import coding_of
from sever.data.formats.mask_table import mask_table, name_faults
from sever.data.formats.pairing import pair, stem_of, without_ending
from sever.data.images import list_images
from sever.data.listing import table_of_paths
from sever.data.mask_pixels import MASK_SUFFIXES
from sever.data.table import ImageTable
from sever.data.text_table import ROW, read_text_table
from sever.errors import InputError

# Folders of masks below the folder of their images.
_FOLDERS = ("label", "labels", "mask", "masks", "gt")
_CLASSES, _VALUE, _CLASS = "_classes.csv", "Pixel Value", "Class"
_MOST_VALUE = 256


def looks_like_mask_beside(root: Path) -> bool:
    """Whether any picture is named as the mask of another one of its folder, or of the folder above."""
    base = image_base(root)
    images, masks = _part(base)
    stems = {stem_of(name) for name in images}
    return any(without_ending(stem_of(name)) in stems for name in masks)


def read_mask_beside(settings: DataSettings, split: str) -> tuple[ImageTable, list[Skipped]]:
    base = image_base(settings.root)
    images, masks = _part(base)
    if not images or not masks:
        there = f"{counted(len(images), 'image')} and {counted(len(masks), 'mask')}"
        raise InputError(f"{base} has {there} named x_mask, x_GT or x_label")
    pairs, unclear, orphans = pair(images, masks)
    faults = name_faults(unclear, orphans, masks)
    table, coding = table_of_paths(images), coding_of(settings, *_said_beside(base))
    return mask_table(settings, split, table, pairs, coding, lambda name: f"{stem_of(name)}_mask.png beside it", faults)


def _part(base: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Images and masks by their paths; of a mask, without the folder of masks that it lies in."""
    paths = {path.relative_to(base).as_posix(): path for path in list_images(base)}
    images, masks = dict[str, Path](), dict[str, Path]()
    for name, path in paths.items():
        pure = PurePosixPath(name)
        own_folder = pure.parent.name.lower() in _FOLDERS
        is_mask = pure.suffix.lower() in MASK_SUFFIXES and (own_folder or without_ending(pure.stem) is not None)
        if is_mask:
            masks[str(pure.parent.parent / pure.name) if own_folder else name] = path
        else:
            images[name] = path
    return images, masks


def _said_beside(base: Path) -> tuple[dict[str, str] | None, str]:
    """Value -> name by Roboflow's _classes.csv, which every part of a data set has, and where it stands.

    Raises InputError where a value is none, or two of the files say something else.
    """
    paths = [path for path in (base / _CLASSES, *sorted(base.glob(f"*/{_CLASSES}"))) if path.is_file()]
    if not paths:
        return None, ""
    found = [_values(path) for path in paths]
    for path, values in zip(paths, found, strict=True):
        if values != found[0]:
            raise InputError(f"{path} names other values than {paths[0]}; mend one of them, or set data.mask_values")
    return found[0], str(paths[0])


def _values(path: Path) -> dict[str, str]:
    rows, _ = read_text_table(path, [(_VALUE, _CLASS)])
    values = dict[str, str]()
    for value, name, row in zip(rows[_VALUE], rows[_CLASS], rows[ROW], strict=True):
        if not (value.isascii() and value.isdigit() and int(value) < _MOST_VALUE) or not name or value in values:
            raise InputError(f"{path}, row {row}: {value!r}, {name!r} are not a new value (0 to 255) and its class")
        values[value] = name
    return values
