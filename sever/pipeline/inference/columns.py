"""A model over columns of a table, as engines for large data map batches: arrays in, arrays out; knows no engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sever.data.reader import ImageReader
from sever.errors import InputError
from sever.pipeline.inference.arrays import as_pixels
from sever.pipeline.pixel_warnings import warn_of_read

if TYPE_CHECKING:
    from sever.pipeline.inference.model import Model

# Where the image of a row is, the first that is there: a file's content, pixels, or a path.
CONTENT, PIXELS, PATH = "bytes", "image", "path"


def columns_of(model: Model, batch: Mapping[str, Any]) -> dict[str, Any]:
    """The batch's columns without pixels, and two more: `run_lengths`, one text a class, and `areas` (N, C) int64 in
    pixels. Raises InputError for a batch without a column of images, and for images that can't be read."""
    read = model.reader()
    found = model.inspect_pixels(_pixels(read, batch))
    warn_of_read(read, model.facts.mean, str(model.folder))
    runs = np.empty(len(found), object)
    runs[:] = [each.run_lengths for each in found]
    areas = np.stack([each.areas for each in found]) if found else np.zeros((0, len(model.classes)), np.int64)
    kept = {name: values for name, values in batch.items() if name not in (CONTENT, PIXELS)}
    return kept | {"run_lengths": runs, "areas": areas}


def _pixels(read: ImageReader, batch: Mapping[str, Any]) -> Sequence[np.ndarray]:
    if CONTENT in batch:
        names = batch.get(PATH, [f"row {row}" for row in range(len(batch[CONTENT]))])
        return [read.decode(bytes(each), Path(str(name))) for each, name in zip(batch[CONTENT], names, strict=True)]
    if PIXELS in batch:
        return [as_pixels(np.asarray(each), read) for each in batch[PIXELS]]
    if PATH in batch:
        return [read(Path(str(each))) for each in batch[PATH]]
    raise InputError(f"a batch has a column {CONTENT}, {PIXELS} or {PATH}; this one has {', '.join(batch) or 'none'}")
