"""One door to every data set: which layout a folder has, its table, its groups; knows no layout from inside."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from sever.config import MAX_PIXELS, DataSettings
from sever.data.faults import MEND, Skipped, raise_unless
from sever.data.formats.registry import FORMATS, WITHOUT_MASKS, find_format, has_format, raise_unless_masks
from sever.data.groups import with_groups
from sever.data.images import IMAGE_SUFFIXES
from sever.data.listing import find_damaged, leave_out, list_table, measure, table_of_paths, without_labels
from sever.data.passed_over import PassedOver, find_passed_over
from sever.data.table import ImageTable
from sever.errors import InputError

# Several stages of a command read the same data set; whoever shows the log says this once.
ONCE = {"once": True}
_log = logging.getLogger(__name__)

__all__ = [
    "WITHOUT_MASKS",
    "Skipped",
    "find_format",
    "has_format",
    "passed_over",
    "passed_over_beside",
    "raise_unless_masks",
    "read_again",
    "read_folder",
    "read_images",
    "read_table",
]


def read_table(settings: DataSettings, split: str = "train", thorough: bool = True) -> tuple[ImageTable, list[Skipped]]:
    """The images of a data set in the order of their ids, and what was left out because of faults.

    `split` "test" gives images without labels; where not `thorough`, since no pixels will be needed, images are not
    looked through for damage. Raises InputError for every fault of the data, unless
    settings.skip_bad: then bad images are left out and listed. No image left is an error all the same.
    """
    settings = _absolute(settings)
    layout = find_format(settings)
    if settings.test_labels is not None and layout != "severstal":
        raise InputError(f"data.test_labels is for the Severstal layout, but {settings.root} is a {layout}")
    _log.info("%s is read as %s: %s", settings.root, layout, FORMATS[layout].description, extra=ONCE)
    table, skipped = FORMATS[layout].read(settings, split)
    if thorough:
        damaged = find_damaged(table)
        raise_unless(settings.skip_bad, damaged, settings.root)
        table, skipped = leave_out(table, damaged), skipped + damaged
    if settings.groups is None or split == "test":
        return table, skipped
    table, faults = with_groups(table, settings.groups)
    raise_unless(settings.skip_bad, faults, settings.groups)
    return leave_out(table, faults), skipped + faults


def read_again(settings: DataSettings, needed_by: object, thorough: bool = True) -> ImageTable:
    """The images that something was begun with, by the settings that it keeps, so that its errors say the way out."""
    try:
        return read_table(settings, thorough=thorough)[0]
    except InputError as error:
        fault = str(error).removesuffix(MEND).rstrip()
        raise InputError(
            f"{fault}\n{needed_by} began with these images: put them back as they were, point data.root in its "
            "config.yml to where they are now, or start again without them"
        ) from error


def read_folder(folder: Path, class_names: Sequence[str]) -> ImageTable:
    """All images below a folder, without labels. Raises InputError where one can't be read or there is none."""
    return read_images(folder, class_names)[0]


def read_images(
    folder: Path,
    class_names: Sequence[str],
    skip_bad: bool = False,
    include: tuple[str, ...] = (),
    max_pixels: int = MAX_PIXELS,
) -> tuple[ImageTable, list[Skipped]]:
    """As `read_folder`, but only ids that match `include`; and what was left out, where `skip_bad` allows it.

    `folder` may be a single image as well.
    """
    folder = folder.absolute()
    listed = table_of_paths({folder.name: folder}) if folder.is_file() else list_table(folder)
    table, unreadable = measure(listed.include(include), max_pixels)
    faults = unreadable + find_damaged(table)
    raise_unless(skip_bad, faults, folder)
    return leave_out(without_labels(table, class_names), faults), faults


def passed_over(folder: Path) -> PassedOver:
    """What lies below a folder of images, and is not read."""
    return find_passed_over(folder, IMAGE_SUFFIXES)


def passed_over_beside(table: ImageTable) -> PassedOver:
    """What lies among these images, below the nearest folder that holds them all, and is not read."""
    folders = {str(table.path(row).parent) for row in range(len(table))}
    return passed_over(Path(os.path.commonpath(folders)))


def _absolute(settings: DataSettings) -> DataSettings:
    """With whole paths, so that every message says where a file was looked for."""
    paths = {name: getattr(settings, name) for name in ("root", "labels", "groups", "test_labels")}
    return settings.model_copy(update={name: path.absolute() for name, path in paths.items() if path is not None})
