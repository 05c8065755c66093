"""The layout of label maps: masks/**/x.png beside images/**/x.EXT and classes.txt; knows no run-length files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np

from sever.config import DataSettings
from sever.data import rle
from sever.data.class_names import CLASSES_FILE, stated_class_names
from sever.data.faults import Skipped, raise_unless
from sever.data.images import list_images, read_label_map
from sever.data.listing import in_threads, leave_out, list_table, measure, with_runs, without_labels
from sever.data.mask_doubts import find_misreading
from sever.data.table import ImageTable
from sever.errors import InputError

IMAGE_FOLDER = "images"
MASK_FOLDER = "masks"
MASK_SUFFIX = ".png"
SPLITS = ("train", "test")
# How programs without classes write "defect".
_FULL_WHITE = 255


def looks_like_mask_folder(root: Path) -> bool:
    """Whether anything of this layout is there, so that what is missing of it can be told."""
    return (root / IMAGE_FOLDER).is_dir() or (root / MASK_FOLDER).is_dir()


def read_mask_folder(settings: DataSettings, split: str = "train") -> tuple[ImageTable, list[Skipped]]:
    """All images with their labels; for split "test" without, so that masks/ may be absent.

    The second value is what was left out, where settings.skip_bad allows it. Raises InputError for any other fault.
    """
    if split not in SPLITS:
        raise InputError(f"split {split!r} does not exist; there are {', '.join(SPLITS)}")
    root, skip_bad = settings.root, settings.skip_bad
    stated = stated_class_names(root, settings.num_classes)
    if stated is None:
        raise InputError(f"{root} has no {CLASSES_FILE}; write one with a class name a line, or set data.num_classes")
    class_names, source = stated
    everything = list_table(root / IMAGE_FOLDER)
    chosen = everything.include(settings.include)
    faults = _same_stem(chosen)
    masks = {} if split == "test" else _list_masks(root / MASK_FOLDER)
    if split != "test":
        faults += _unmatched(chosen, everything, masks, root / MASK_FOLDER)
    raise_unless(skip_bad, faults, root)

    table, unreadable = measure(leave_out(chosen, faults))
    raise_unless(skip_bad, unreadable, root / IMAGE_FOLDER)
    faults += unreadable
    if split == "test":
        return leave_out(without_labels(table, class_names), faults), faults
    labelled, bad_masks = _label(table, masks, class_names, source)
    raise_unless(skip_bad, bad_masks, root / MASK_FOLDER)
    faults += bad_masks
    return leave_out(labelled, faults), faults


def _stem(image_id: str) -> str:
    return str(PurePosixPath(image_id).with_suffix(""))


def _list_masks(folder: Path) -> dict[str, Path]:
    """Masks by their path without suffix."""
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; images without masks can be predicted, not trained on")
    masks = [path for path in list_images(folder) if path.suffix.lower() == MASK_SUFFIX]
    return {_stem(path.relative_to(folder).as_posix()): path for path in masks}


def _same_stem(table: ImageTable) -> list[Skipped]:
    counts = Counter(map(_stem, table.image_ids))
    return [
        Skipped(image_id, None, f"{counts[_stem(image_id)]} images have this name but for the suffix, and one mask")
        for image_id in table.image_ids
        if counts[_stem(image_id)] > 1
    ]


def _unmatched(chosen: ImageTable, everything: ImageTable, masks: dict[str, Path], folder: Path) -> list[Skipped]:
    stems = set(map(_stem, everything.image_ids))
    lonely = [
        Skipped(stem + MASK_SUFFIX, None, f"mask {mask} has no image", may_mean=())
        for stem, mask in masks.items()
        if stem not in stems
    ]
    bare = [
        Skipped(image_id, None, f"its mask is missing: {folder / _stem(image_id)}{MASK_SUFFIX}")
        for image_id in chosen.image_ids
        if _stem(image_id) not in masks
    ]
    return bare + lonely


def _label(
    table: ImageTable, masks: dict[str, Path], class_names: tuple[str, ...], source: str
) -> tuple[ImageTable, list[Skipped]]:
    def read(row: int) -> list[str] | str:
        try:
            labels = read_label_map(masks[_stem(table.image_id(row))])
        except InputError as error:
            return str(error)
        if labels.shape != table.size(row):
            return _size_fault(labels.shape, table.size(row))
        if fault := find_misreading(masks[_stem(table.image_id(row))], labels):
            return fault
        return _encode(labels, len(class_names), source)

    answers = in_threads(read, range(len(table)))
    faults = [
        Skipped(image_id, None, answer)
        for image_id, answer in zip(table.image_ids, answers, strict=True)
        if isinstance(answer, str)
    ]
    good = [row for row, answer in enumerate(answers) if not isinstance(answer, str)]
    columns = [[answers[row][index] for row in good] for index in range(len(class_names))]
    return with_runs(table.take(good), columns, class_names), faults


def _encode(labels: np.ndarray, num_classes: int, source: str) -> list[str] | str:
    """The run lengths of each class, or what is wrong with the label map (H, W)."""
    values = np.flatnonzero(np.bincount(labels.ravel())).tolist()
    defects = [value for value in values if value]
    if num_classes == 1 and defects == [_FULL_WHITE]:
        return [rle.encode(labels)]
    strange = [value for value in defects if value > num_classes]
    if strange:
        return (
            f"the mask has the value {strange[0]}, which is no class: by {source} the classes are 1..{num_classes} "
            "(0 is background)"
        )
    return [rle.encode(labels == index + 1) if index + 1 in defects else "" for index in range(num_classes)]


def _size_fault(mask: tuple[int, ...], image: tuple[int, int]) -> str:
    return f"the mask is {mask[1]} x {mask[0]} pixels (width x height), but the image {image[1]} x {image[0]}"
