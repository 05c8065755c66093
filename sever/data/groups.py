"""Which images belong together, from a CSV; knows no labels and no folds."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path, PurePosixPath

import pandas as pd

from sever.data.faults import Skipped
from sever.data.table import ImageTable
from sever.data.text_table import ROW, read_text_table
from sever.errors import InputError
from sever.near_names import NearNames

FORM = ("image", "group")
SPLIT = "split"


def with_groups(table: ImageTable, path: Path) -> tuple[ImageTable, list[Skipped]]:
    """The table with the groups of a CSV that has the columns image and group, and the faults found.

    `image` is an id, a file name that only one image has, or, where there is a column `split`, the rest of the id
    `split/image`. An empty group means that nothing is known. Rows for other images are passed over, since one CSV
    may serve several parts of a data set; an image without a row is a fault.
    """
    rows, _ = read_text_table(path, (FORM,))
    ids = set(table.image_ids)
    by_name: dict[str, list[str]] = defaultdict(list)
    for image_id in table.image_ids:
        by_name[PurePosixPath(image_id).name].append(image_id)
    groups: dict[str, str | None] = {}
    faults: list[Skipped] = []
    splits = rows[SPLIT] if SPLIT in rows else [""] * len(rows)
    columns = (rows["image"].tolist(), rows["group"].tolist(), list(splits), rows[ROW].tolist())
    for image, group, split, row in zip(*columns, strict=True):
        named = by_name.get(image, [])
        image_id = next((name for name in (f"{split}/{image}", image) if name in ids), "")
        if not image_id and not split and len(named) > 1:
            raise InputError(f"{path}, row {row}: {image} may be {' or '.join(named[:3])}; write the whole id")
        if not image_id and not split and named:
            image_id = named[0]
        if not image_id:
            continue
        if groups.setdefault(image_id, group or None) != (group or None):
            faults.append(Skipped(image_id, row, f"the group is {group}, but {groups[image_id]} before"))
    near = NearNames(rows["image"])
    faults += [
        Skipped(image_id, None, f"no row of {path} gives its group{near.hint(image_id)}")
        for image_id in table.image_ids
        if image_id not in groups
    ]
    column = pd.Series([groups.get(image_id) for image_id in table.image_ids], dtype=object)
    return ImageTable(table.frame.assign(group=column), table.class_names), faults
