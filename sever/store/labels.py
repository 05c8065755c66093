"""Image labels' probabilities on disk; knows not whose they are, nor what they are for.

labels.csv      image_id, 1..C: one row an image, as an image classifier sees it
labels.partial  the same without a heading, while a prediction is under way: each row is added as it comes
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sever.errors import InputError
from sever.files import atomic_path


@dataclass(frozen=True)
class LabelStore:
    """The label probabilities of one folder, (C,) float32 by image id; they come back exactly as they were given."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "labels.csv"

    @property
    def partial_file(self) -> Path:
        return self.folder / "labels.partial"

    def add(self, image_id: str, label_probs_c: np.ndarray) -> None:
        """Add one image at once, so that an interrupted prediction keeps it."""
        if self.partial_file.is_file():
            _cut_torn_row(self.partial_file)
        with self.partial_file.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow(_row(image_id, label_probs_c))

    def read(self, num_classes: int) -> dict[str, np.ndarray]:
        """All images so far. Raises InputError for a damaged labels.csv."""
        probs: dict[str, np.ndarray] = {}
        columns = [str(number) for number in range(1, num_classes + 1)]
        if self.file.is_file():
            heading, *rows = _rows(self.file.read_text(encoding="utf-8")) or [[]]
            if heading != ["image_id", *columns]:
                raise InputError(f"{self.file} does not hold the classes {', '.join(columns)}; give --overwrite")
            probs |= _as_probs(rows, num_classes, self.file)
        if self.partial_file.is_file():
            whole = self.partial_file.read_text(encoding="utf-8").rpartition("\n")[0]
            probs |= _as_probs(_rows(whole), num_classes, self.partial_file)
        return probs

    def finish(self, image_ids: Sequence[str], num_classes: int) -> None:
        """Write labels.csv with these images, in this order, and forget all others."""
        probs = self.read(num_classes)
        self.write({image_id: probs[image_id] for image_id in image_ids}, num_classes)
        self.partial_file.unlink(missing_ok=True)

    def write(self, probs: Mapping[str, np.ndarray], num_classes: int) -> None:
        """Write labels.csv with these images, in their order."""
        with atomic_path(self.file) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["image_id", *range(1, num_classes + 1)])
            writer.writerows(_row(image_id, label_probs_c) for image_id, label_probs_c in probs.items())

    def clear(self) -> None:
        self.file.unlink(missing_ok=True)
        self.partial_file.unlink(missing_ok=True)


def _row(image_id: str, label_probs_c: np.ndarray) -> list[str]:
    # Nine digits tell every float32 from its neighbours, so that a stored gate and a live one draw equal masks.
    return [image_id, *(f"{value:.9g}" for value in label_probs_c)]


def _rows(text: str) -> list[list[str]]:
    return [row for row in csv.reader(text.split("\n")) if row]


def _as_probs(rows: Iterable[list[str]], num_classes: int, path: Path) -> dict[str, np.ndarray]:
    try:
        probs = {row[0]: np.array(row[1:], dtype=np.float32) for row in rows}
    except (ValueError, IndexError) as error:
        raise InputError(f"{path} is damaged ({error}); give --overwrite to predict again") from error
    if any(len(label_probs_c) != num_classes for label_probs_c in probs.values()):
        raise InputError(f"{path} has rows without a value for each class; give --overwrite to predict again")
    if any(not ((label_probs_c >= 0) & (label_probs_c <= 1)).all() for label_probs_c in probs.values()):
        raise InputError(f"{path} holds what is no probability (0 to 1); give --overwrite to predict again")
    return probs


def _cut_torn_row(path: Path) -> None:
    """Take off what a killed process left of its last row."""
    with path.open("rb+") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(max(0, length - 1))
        if length and file.read(1) != b"\n":
            file.truncate(path.read_bytes().rfind(b"\n") + 1)
