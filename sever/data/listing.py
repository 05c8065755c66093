"""The images of a folder as a table that has no labels yet; knows no CSV and no masks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import pandas as pd

from sever.config import MAX_PIXELS
from sever.data.codecs import Header
from sever.data.faults import Skipped, images_of
from sever.data.images import IMAGE_SUFFIXES, damage_of, list_images, read_header
from sever.data.passed_over import find_passed_over
from sever.data.table import IGNORED_COLUMN, ImageTable
from sever.errors import InputError
from sever.names import fault_of
from sever.near_names import missing

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")
# Headers are read in lumps: handing every small file to a thread by itself costs more than reading it.
_LUMP = 64


def list_table(folder: Path) -> ImageTable:
    """Ids (paths below the folder, in posix form) and paths of all images. Raises InputError where there is none."""
    if not folder.is_dir():
        raise InputError(missing(folder, "file or folder"))
    paths = list_images(folder)
    if not paths:
        found = find_passed_over(folder, IMAGE_SUFFIXES)
        instead = f"; skipped: {found}" if found else ""
        raise InputError(f"there are no images in {folder}: no file ends in {', '.join(IMAGE_SUFFIXES)}{instead}")
    ids = [path.relative_to(folder).as_posix() for path in paths]
    frame = pd.DataFrame({"image_id": ids, "path": [str(path) for path in paths]})
    return ImageTable(frame.sort_values("image_id", ignore_index=True), ())


def table_of_paths(paths: Mapping[str, Path]) -> ImageTable:
    """The same of images whose ids are not simply their paths below a folder."""
    ids = sorted(paths)
    frame = pd.DataFrame({"image_id": ids, "path": [str(paths[image_id]) for image_id in ids]}, dtype=object)
    return ImageTable(frame, ())


def find_damaged(table: ImageTable) -> list[Skipped]:
    """The images whose pixels are damaged, as far as their format shows it; costs about as much as decoding them."""
    reasons = in_threads(damage_of, table.frame["path"].tolist())
    return [
        Skipped(image_id, None, f"image {table.path(row)} {reason}")
        for row, (image_id, reason) in enumerate(zip(table.image_ids, reasons, strict=True))
        if reason is not None
    ]


def measure(table: ImageTable, max_pixels: int = MAX_PIXELS) -> tuple[ImageTable, list[Skipped]]:
    """The same images with what their headers say, and no group; those that can't be read, or have more than
    `max_pixels`, are left out."""
    named = zip(table.image_ids, table.frame["path"].tolist(), strict=True)
    headers = in_threads(partial(_header_or_reason, max_pixels=max_pixels), named)
    faults = [
        Skipped(image_id, None, header)
        for image_id, header in zip(table.image_ids, headers, strict=True)
        if isinstance(header, str)
    ]
    good = {row: header for row, header in enumerate(headers) if isinstance(header, Header)}
    frame = table.take(list(good)).frame
    for name in ("height", "width", "orientation", "pages"):
        frame[name] = [getattr(header, name) for header in good.values()]
    frame["group"] = pd.Series([None] * len(frame), dtype=object)
    return ImageTable(frame, table.class_names), faults


def with_runs(
    table: ImageTable,
    runs: Sequence[Sequence[str]],
    class_names: Sequence[str],
    ignored: Sequence[str] | None = None,
) -> ImageTable:
    """The table with its labels: for each class, the run lengths of each image, and of the pixels nobody judged."""
    labels = pd.DataFrame({f"runs_{index}": list(column) for index, column in enumerate(runs)}, dtype=str)
    assert labels.shape == (len(table), len(class_names)), (labels.shape, len(table), class_names)
    if ignored is not None and any(ignored):
        labels[IGNORED_COLUMN] = list(ignored)
    return ImageTable(pd.concat([table.frame, labels], axis=1), tuple(class_names))


def without_labels(table: ImageTable, class_names: Sequence[str]) -> ImageTable:
    """The table with every class empty."""
    return with_runs(table, [[""] * len(table)] * len(class_names), class_names)


def leave_out(table: ImageTable, faults: Sequence[Skipped]) -> ImageTable:
    """The table without the images that have a fault. Raises InputError when none is left."""
    bad = images_of(faults)
    good = [row for row, image_id in enumerate(table.image_ids) if image_id not in bad]
    if not good:
        raise InputError(f"no image is left: all have faults, {len(faults)} in number; the first is {faults[0]}")
    return table.take(good)


def in_threads(work: Callable[[_Item], _Answer], items: Iterable[_Item]) -> list[_Answer]:
    """`work` over all items, answers in their order."""
    items = list(items)
    lumps = [items[start : start + _LUMP] for start in range(0, len(items), _LUMP)]
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        answers = pool.map(lambda lump: [work(item) for item in lump], lumps)
        return [answer for lump in answers for answer in lump]


def _header_or_reason(named: tuple[str, str], max_pixels: int) -> Header | str:
    """`named`: the image's id and path. An id that could not name a file of results is a fault like any other."""
    image_id, path = named
    if fault := fault_of(image_id):
        return f"image {path!r} has a name that results can't take: {fault}; rename it"
    try:
        return read_header(path, max_pixels)
    except InputError as error:
        return str(error)
