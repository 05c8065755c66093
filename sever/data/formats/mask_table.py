"""Images and their mask pictures become the table of images; knows not how masks are found or coded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from sever.config import MAX_PIXELS, DataSettings
from sever.data.bad_rows import unlabelled_in_doubt
from sever.data.codecs import Header
from sever.data.faults import Skipped, raise_unless, without_images
from sever.data.formats.coding import Coding, Encoded
from sever.data.formats.near_masks import with_near_images
from sever.data.images import read_header
from sever.data.listing import in_threads, leave_out, measure, with_runs, without_labels
from sever.data.mask_doubts import find_misreading
from sever.data.mask_pixels import read_codes
from sever.data.table import ImageTable
from sever.errors import InputError

# The mask of an image that is clean by the layout.
CLEAN = None
_MEND = "; if images without one are clean, set data.missing_mask: clean"


def mask_table(
    settings: DataSettings,
    split: str,
    images: ImageTable,
    masks: Mapping[str, Path | None],
    coding: Coding | Callable[[str], Coding],
    expected: Callable[[str], object],
    faults: Sequence[Skipped] = (),
) -> tuple[ImageTable, list[Skipped]]:
    """The images with the labels of their masks, and what was left out where settings.skip_bad allows it.

    `masks`: image id -> its mask, or CLEAN. An image without one is a fault, or clean, as settings.missing_mask says;
    `expected` says where it should lie. `coding`: of all masks, or by image id, which then have the same classes.
    `faults`: what is known to be wrong already. For split "test" without labels. Raises InputError for any fault.
    """
    find_coding = coding if callable(coding) else lambda image_id: coding
    class_names = find_coding(images.image_id(0)).class_names
    chosen = images.include(settings.include)
    found = [] if split == "test" else without_images(faults, set(images.image_ids) - set(chosen.image_ids))
    if split != "test" and settings.missing_mask == "error":
        known = {image_id for fault in faults for image_id in fault.images}
        bare = [name for name in chosen.image_ids if name not in masks and name not in known]
        found = [Skipped(name, None, f"its mask is missing: {expected(name)}{_MEND}") for name in bare] + found
    if split != "test" and settings.missing_mask == "clean":
        unlabelled = [name for name in chosen.image_ids if name not in masks]
        found = with_near_images(found, unlabelled)
        found += unlabelled_in_doubt(found, unlabelled)
    raise_unless(settings.skip_bad, found, settings.root)
    table, unreadable = measure(leave_out(chosen, found), settings.max_pixels)
    raise_unless(settings.skip_bad, unreadable, settings.root)
    found += unreadable
    if split == "test":
        return leave_out(without_labels(table, class_names), found), found
    labelled, bad = _label(table, masks, find_coding, class_names, settings.max_pixels)
    raise_unless(settings.skip_bad, bad, settings.root)
    found += bad
    return leave_out(labelled, found), found


def name_faults(unclear: Mapping[str, str], orphans: Sequence[str], masks: Mapping[str, Path]) -> list[Skipped]:
    """The faults that pairing.pair found: images whose mask can't be told, and masks of no image."""
    found = [Skipped(image_id, None, reason) for image_id, reason in unclear.items()]
    return found + [Skipped(name, None, f"mask {masks[name]} has no image", may_mean=()) for name in orphans]


def _label(
    table: ImageTable,
    masks: Mapping[str, Path | None],
    find_coding: Callable[[str], Coding],
    class_names: Sequence[str],
    max_pixels: int,
) -> tuple[ImageTable, list[Skipped]]:
    def read(row: int) -> tuple[Encoded, Header | None] | str:
        image_id = table.image_id(row)
        path = masks.get(image_id)
        if path is None:
            return ([""] * len(class_names), ""), None
        encoded = read_mask(path, table.size(row), find_coding(image_id), max_pixels)
        return encoded if isinstance(encoded, str) else (encoded, read_header(path, max_pixels))

    answers = in_threads(read, range(len(table)))
    faults = [Skipped(table.image_id(row), None, each) for row, each in enumerate(answers) if isinstance(each, str)]
    good = {row: each for row, each in enumerate(answers) if not isinstance(each, str)}
    columns = [[runs[index] for (runs, _), _ in good.values()] for index in range(len(class_names))]
    ignored = [text for (_, text), _ in good.values()]
    kept = table.take(list(good))
    for name in ("orientation", "pages"):  # of an image and its mask the one that is odd
        odd = [getattr(header, name) if header else 1 for _, header in good.values()]
        kept.frame[name] = np.maximum(kept.frame[name], odd)
    return with_runs(kept, columns, class_names, ignored), faults


def read_mask(path: Path, size: tuple[int, int], coding: Coding, max_pixels: int = MAX_PIXELS) -> Encoded | str:
    """The run lengths of a mask picture, or what is wrong with it."""
    try:
        codes_hw = read_codes(path, coding.by_colour, max_pixels)
    except InputError as error:
        return str(error)
    if codes_hw.shape != size:
        mask, image = codes_hw.shape, size
        return f"the mask is {mask[1]} x {mask[0]} pixels (width x height), but the image {image[1]} x {image[0]}"
    if not coding.by_colour and (doubt := find_misreading(path, codes_hw)):
        return doubt
    return coding.encode(codes_hw)
