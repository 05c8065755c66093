"""The images that a CSV names, in its order; knows not what they are named for."""

from __future__ import annotations

from pathlib import Path

from sever.data.table import ImageTable
from sever.data.text_table import read_text_table
from sever.errors import InputError

FORMS = (("image",), ("image_id",))


def select_listed(table: ImageTable, path: Path, first: int | None = None) -> ImageTable:
    """The rows of the images in the column `image` (or `image_id`), each once; the `first` of them, or all.

    Raises InputError where the file can't be read, names no image, or one that is not in the table.
    """
    rows, (column,) = read_text_table(path, FORMS)
    names = list(dict.fromkeys(name for name in rows[column] if name))
    if not names:
        raise InputError(f"{path} names no image")
    return table.select(names[:first])
