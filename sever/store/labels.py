"""Image labels' probabilities on disk, each with its origin; knows not whose they are, nor what they are for.

labels.csv             image_id, 1..C, origin: one row an image, as an image classifier sees it
.sever-labels.partial  the same without a heading, while a prediction is under way: each row is added as it comes
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sever.errors import InputError
from sever.files import naming
from sever.output import OutputFolder
from sever.seals import read_sealed
from sever.store.origin import UNKNOWN

LABELS = "labels.csv"
# Digits that tell every float32 from its neighbours, so that a stored gate and a live one draw equal masks.
EXACT = 9


class Label(NamedTuple):
    """What is known of one image: (C,) float32, and where it comes from."""

    probs_c: np.ndarray
    origin: str = UNKNOWN


@dataclass(frozen=True)
class LabelStore:
    """The label probabilities of one folder, (C,) float32 by image id; they come back exactly as they were given.

    Other numbers in 0..1 are kept in the same way: in a table `name`, with `columns` (of image, and of each number) and
    so many `digits`.
    """

    folder: Path
    name: str = LABELS
    columns: tuple[str, ...] = ()
    digits: int = EXACT

    @property
    def file(self) -> Path:
        return self.folder / self.name

    @property
    def partial_file(self) -> Path:
        return self.folder / f".sever-{Path(self.name).stem}.partial"

    def heading(self, num_classes: int) -> list[str]:
        numbers = [str(number) for number in range(1, num_classes + 1)]
        return [*(self.columns or ("image_id", *numbers)), "origin"]

    def add(self, image_id: str, label_probs_c: np.ndarray, origin: str = UNKNOWN) -> None:
        """Add one image at once, so that an interrupted prediction keeps it."""
        if self.partial_file.is_file():
            _cut_torn_row(self.partial_file)
        with naming(self.file), self.partial_file.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow(self._row(image_id, Label(label_probs_c, origin)))

    def read(self, num_classes: int, origins: Mapping[str, str] | None = None) -> dict[str, np.ndarray]:
        """All images so far; with `origins` those alone that come from there. Raises InputError where damaged."""
        return {
            image_id: label.probs_c
            for image_id, label in self.read_labels(num_classes).items()
            if origins is None or origins.get(image_id) == label.origin
        }

    def read_labels(self, num_classes: int) -> dict[str, Label]:
        """All images so far. Raises InputError for a damaged labels.csv."""
        labels: dict[str, Label] = {}
        if self.file.is_file():
            heading, *rows = _rows(read_sealed(self.file), self.file) or [[]]
            if heading != (wanted := self.heading(num_classes)):
                raise InputError(f"{self.file} does not have the columns {', '.join(wanted)}; give --overwrite")
            labels |= _as_labels(rows, num_classes, self.file)
            if len(labels) < len(rows):
                raise InputError(f"{self.file} has an image twice; give --overwrite to predict again")
        if self.partial_file.is_file():
            whole = self.partial_file.read_bytes().rpartition(b"\n")[0]
            labels |= _as_labels(_rows(whole, self.partial_file), num_classes, self.partial_file)
        return labels

    def finish(self, image_ids: Sequence[str], num_classes: int) -> None:
        """Write labels.csv with these images, in this order, and forget all others."""
        labels = self.read_labels(num_classes)
        self.write({image_id: labels[image_id] for image_id in image_ids}, num_classes)
        self.partial_file.unlink(missing_ok=True)

    def write(self, labels: Mapping[str, Label], num_classes: int) -> None:
        """Write labels.csv with these images, in their order."""
        home = OutputFolder(self.folder)
        with home.new(self.name) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(self.heading(num_classes))
            writer.writerows(self._row(image_id, label) for image_id, label in labels.items())

    def clear(self) -> None:
        """Raises InputError, and deletes nothing, where labels.csv is not ours."""
        OutputFolder(self.folder).remove([self.name])
        self.partial_file.unlink(missing_ok=True)

    def _row(self, image_id: str, label: Label) -> list[str]:
        return [image_id, *(f"{value:.{self.digits}g}" for value in label.probs_c), label.origin]


def _rows(content: bytes, path: Path) -> list[list[str]]:
    try:
        return [row for row in csv.reader(content.decode("utf-8").split("\n")) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is damaged ({error}); give --overwrite to predict again") from error


def _as_labels(rows: Sequence[list[str]], num_classes: int, path: Path) -> dict[str, Label]:
    try:
        labels = {image_id: Label(np.array(probs, np.float32), origin) for image_id, *probs, origin in rows}
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}); give --overwrite to predict again") from error
    if any(len(label.probs_c) != num_classes for label in labels.values()):
        raise InputError(f"{path} has rows without a value for each class; give --overwrite to predict again")
    if any(not ((label.probs_c >= 0) & (label.probs_c <= 1)).all() for label in labels.values()):
        raise InputError(f"{path} holds what is not a probability (0 to 1); give --overwrite to predict again")
    return labels


def _cut_torn_row(path: Path) -> None:
    """Take off what a killed process left of its last row."""
    with path.open("rb+") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(max(0, length - 1))
        if length and file.read(1) != b"\n":
            file.truncate(path.read_bytes().rfind(b"\n") + 1)
