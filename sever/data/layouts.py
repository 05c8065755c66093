"""One door to every data set: which layout a folder has, its table, its groups; knows no layout from inside."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from sever.config import MAX_PIXELS, DataSettings
from sever.data.faults import Skipped, raise_unless
from sever.data.formats.registry import FORMATS, WITHOUT_MASKS, find_format, raise_unless_masks
from sever.data.groups import with_groups
from sever.data.listing import find_damaged, leave_out, list_table, measure, without_labels
from sever.data.table import ImageTable
from sever.errors import InputError

_log = logging.getLogger(__name__)

__all__ = ["WITHOUT_MASKS", "Skipped", "find_format", "raise_unless_masks", "read_folder", "read_images", "read_table"]


def read_table(settings: DataSettings, split: str = "train", thorough: bool = True) -> tuple[ImageTable, list[Skipped]]:
    """The images of a data set in the order of their ids, and what was left out because of faults.

    `split` "test" gives images without labels; where not `thorough`, since no pixels will be needed, images are not
    looked through for damage. Raises InputError for every fault of the data, unless
    settings.skip_bad: then bad images are left out and listed. No image left is an error all the same.
    """
    layout = find_format(settings)
    if settings.test_labels is not None and layout != "severstal":
        raise InputError(f"data.test_labels is for the Severstal layout, but {settings.root} is a {layout}")
    _log.info("%s is read as %s: %s", settings.root, layout, FORMATS[layout].description)
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
    """As `read_folder`, but only ids that match `include`; and what was left out, where `skip_bad` allows it."""
    table, unreadable = measure(list_table(folder).include(include), max_pixels)
    faults = unreadable + find_damaged(table)
    raise_unless(skip_bad, faults, folder)
    return leave_out(without_labels(table, class_names), faults), faults
