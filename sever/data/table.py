"""The table of images that every reader of labels makes and every later stage works from; knows no file layout.

Classes are 1..C in files and 0..C-1 in arrays; here they are columns 0..C-1.
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from sever.config.mask_values import IGNORED
from sever.counted import counted
from sever.data import rle
from sever.errors import InputError
from sever.near_names import NearNames

DIGEST_LETTERS = 16
BASE_COLUMNS = ("image_id", "path", "height", "width", "orientation", "pages", "group")
# Run lengths of pixels that nobody judged; the column is there only where an image has some.
IGNORED_COLUMN = "ignored"


class TableRow(NamedTuple):
    """One image of a table; `size` is its height and width in pixels."""

    row: int
    image_id: str
    path: Path
    size: tuple[int, int]


@dataclass(frozen=True)
class ImageTable:
    """One row an image, in the order of `image_id`.

    `frame` has the columns image_id, path, height, width (pixels), orientation and pages (as in the file's header, or
    its mask's where that is the odd one), group (text, missing where unknown), then
    `runs_0` .. `runs_{C-1}`: the run lengths of each class in the competition's form, "" where the class is absent;
    and IGNORED_COLUMN where any pixel is. No class has an ignored pixel.
    """

    frame: pd.DataFrame
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.frame)

    def __iter__(self) -> Iterator[TableRow]:
        """The images, in their order: `for image in table`."""
        columns = (self.frame[name].tolist() for name in ("image_id", "path", "height", "width"))
        for row, (image_id, path, height, width) in enumerate(zip(*columns, strict=True)):
            yield TableRow(row, str(image_id), Path(str(path)), (int(height), int(width)))

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def run_columns(self) -> list[str]:
        return [f"runs_{index}" for index in range(self.num_classes)]

    @property
    def image_ids(self) -> list[str]:
        return self.frame["image_id"].tolist()

    def image_id(self, row: int) -> str:
        """Id of one image; in a loop over rows, `image_ids` would build the whole list each time."""
        return str(self.frame["image_id"].iat[row])

    @property
    def paths(self) -> list[Path]:
        """Of all images, also of a table that was only listed and has no sizes yet."""
        return [Path(str(path)) for path in self.frame["path"].tolist()]

    def path(self, row: int) -> Path:
        return Path(str(self.frame["path"].iat[row]))

    def size(self, row: int) -> tuple[int, int]:
        """Height and width in pixels."""
        heights, widths = self.frame["height"].to_numpy(), self.frame["width"].to_numpy()
        return int(heights[row]), int(widths[row])

    def pixels(self) -> dict[str, int]:
        """Height times width of every image, by id."""
        areas = self.frame["height"].to_numpy() * self.frame["width"].to_numpy()
        return dict(zip(self.image_ids, areas.tolist(), strict=True))

    def mask(self, row: int) -> np.ndarray:
        """True masks of one image: (C, H, W) uint8 of 0, 1 and, where nobody judged, IGNORED in all classes."""
        height, width = self.size(row)
        runs = [str(self.frame[column].iat[row]) for column in self.run_columns]
        masks_chw = np.stack([rle.decode(text, height, width) for text in runs])
        if (ignored_hw := self.ignored(row)) is not None:
            masks_chw[:, ignored_hw] = IGNORED
        return masks_chw

    def ignored(self, row: int) -> np.ndarray | None:
        """(H, W) bool: the pixels of one image that nobody judged; None where there is none."""
        text = self.frame[IGNORED_COLUMN].iat[row] if IGNORED_COLUMN in self.frame else ""
        return rle.decode(str(text), *self.size(row)) != 0 if text else None

    def has_class(self) -> np.ndarray:
        """(N, C) bool: which classes each image shows."""
        return (self.frame[self.run_columns] != "").to_numpy()

    def label_digests(self) -> list[str]:
        """A short hash of each image's size and masks, which changes with any pixel of them and with nothing else."""
        rows = self.frame[["height", "width", *self.run_columns]].itertuples(index=False)
        ignored = self.frame[IGNORED_COLUMN] if IGNORED_COLUMN in self.frame else [""] * len(self)
        # Only where an image has some, so that the others' hashes don't hang on it.
        masks = ([*row[2:], text] if text else row[2:] for row, text in zip(rows, ignored, strict=True))
        sizes = self.frame[["height", "width"]].itertuples(index=False)
        texts = (
            ",".join([*map(str, size), *map(rle.join_touching, own)]) for size, own in zip(sizes, masks, strict=True)
        )
        return [hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LETTERS] for text in texts]

    def take(self, rows: np.ndarray | list[int]) -> ImageTable:
        """The same table with these rows only, in this order (integer positions or a boolean mask)."""
        return ImageTable(self.frame.iloc[rows].reset_index(drop=True), self.class_names)

    def select(self, image_ids: Iterable[str], needed_by: object = None) -> ImageTable:
        """The rows of these images, in the order given. Raises InputError for an unknown image.

        `needed_by`: what was begun with these images, when they were there.
        """
        position = {image_id: row for row, image_id in enumerate(self.image_ids)}
        wanted = list(image_ids)
        missing = [image_id for image_id in wanted if image_id not in position]
        if missing:
            hint = NearNames(self.image_ids).hint(missing[0])
            gone = (
                f"{counted(len(missing), 'image is', 'images are')} not in the data set: {', '.join(missing[:5])}{hint}"
            )
            if needed_by is None:
                raise InputError(gone)
            raise InputError(
                f"{gone}. {needed_by} began with them: put them back (whole, and with their labels, where --skip-bad "
                "leaves bad ones out), point data.root in its config.yml to where they are now, or start again without "
                "them"
            )
        return self.take([position[image_id] for image_id in wanted])

    def include(self, globs: tuple[str, ...]) -> ImageTable:
        """The images whose id is one of the globs or matches one; all without globs. Raises InputError for none left.

        An id with signs of a glob in it, such as a[1].png, is found by itself.
        """
        if not globs:
            return self
        ids = self.image_ids
        keep = [image_id in globs or any(fnmatch.fnmatchcase(image_id, glob) for glob in globs) for image_id in ids]
        if not any(keep):
            hint = NearNames(ids).hint(globs[0])
            raise InputError(f"no image id matches {', '.join(globs)}; ids here look like {', '.join(ids[:3])}{hint}")
        return self.take(np.flatnonzero(keep))
