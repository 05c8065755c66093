"""Which images the bad rows of a labels file concern, since what can't be understood must not count as clean.

It reads nothing: it is given rows, their faults, and the ids of the images that are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from sever.counted import counted
from sever.data.faults import Skipped, images_of
from sever.data.run_table import faults_at
from sever.data.text_table import ROW
from sever.near_names import NearNames


def missing_images(labels: pd.DataFrame, near: NearNames, folder: object) -> list[Skipped]:
    """A fault for each row of an image that is not there; it names the image that the row may mean."""
    there = set(near.names)
    missing = {at: image_id for at, image_id in enumerate(labels["image_id"].tolist()) if image_id not in there}
    hints = {image_id: near.hint(image_id) for image_id in set(missing.values())}
    return faults_at(labels, {at: f"this image is missing in {folder}{hints[name]}" for at, name in missing.items()})


def with_images(faults: Sequence[Skipped], near: NearNames) -> list[Skipped]:
    """The faults, each with the images that its row concerns: the one it names, or those that the name may mean."""
    there = set(near.names)
    return [
        fault if fault.image_id in there else replace(fault, may_mean=tuple(near.find(fault.image_id)))
        for fault in faults
    ]


def unlabelled_in_doubt(faults: Sequence[Skipped], unlabelled: Sequence[str]) -> list[Skipped]:
    """A fault for each image that nothing labels, where a label is of no image that is there nor any near one.

    The same doubt as `in_doubt` has, where images without labels count as clean because the settings say so.
    """
    nobodys = [fault for fault in faults if not fault.images]
    if not nobodys:
        return []
    reason = (
        f"nothing labels it, and {counted(len(nobodys), 'label is', 'labels are')} of no "
        f"image that is there (first: {nobodys[0].image_id}): "
        "whether it is clean can't be known; mend their names, or delete them if their images are truly gone"
    )
    named = images_of(faults)
    return [Skipped(image_id, None, reason) for image_id in unlabelled if image_id not in named]


def in_doubt(rows: pd.DataFrame, faults: Sequence[Skipped], image_ids: Sequence[str]) -> list[Skipped]:
    """A fault for each image without a row, where a defect is stated for an image that is not there nor any near one.

    Such an image would count as clean, and nobody knows whether the defect is its own. `faults` are those of all
    `rows`, with their images.
    """
    nobodys = {fault.row for fault in faults if not fault.images}
    lost = rows[rows[ROW].isin(nobodys) & (rows["runs"] != "")]
    if lost.empty:
        return []
    first = f"row {lost[ROW].tolist()[0]} names {lost['image_id'].tolist()[0] or 'no image'}"
    reason = (
        f"it has no row, and {counted(len(lost), 'row with defects is', 'rows with defects are')} of no image that is "
        f"there ({first}): whether it is "
        "clean can't be known; mend those rows, or delete them if their images are truly gone"
    )
    named = set(rows["image_id"])
    return [Skipped(image_id, None, reason) for image_id in image_ids if image_id not in named]
