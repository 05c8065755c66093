"""What is suspicious about labels that are formally right: overlaps, and classes that look like background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sever.data.table import ImageTable

# No defect covers more of a whole data set than what is whole; background does.
_LIKE_BACKGROUND = 0.5


@dataclass(frozen=True)
class Overlap:
    """The first pixel (1 is the first) that two classes of an image claim; classes count from 0."""

    classes: tuple[int, int]
    pixel: int

    def __str__(self) -> str:
        first, second = (index + 1 for index in self.classes)
        return f"classes {first} and {second} at pixel {self.pixel}"


def find_overlap(class_indices: Sequence[int], texts: Sequence[str]) -> Overlap | None:
    """Where two classes of one image claim a pixel, by their run lengths, which are proper ones and not empty."""
    runs = [_numbers(text).reshape(-1, 2) for text in texts]
    classes = np.repeat(np.array(class_indices), [len(each) for each in runs])
    starts, lengths = np.concatenate(runs).T
    order = np.argsort(starts, kind="stable")
    starts, ends, classes = starts[order], (starts + lengths)[order], classes[order]
    at = np.flatnonzero(ends[:-1] > starts[1:])
    if not len(at):
        return None
    first = int(at[0])
    return Overlap((int(classes[first]), int(classes[first + 1])), int(starts[first + 1]))


def overlapping_images(table: ImageTable) -> dict[str, Overlap]:
    """The images in which classes overlap, each with its first overlap."""
    found = {}
    several = np.flatnonzero(table.has_class().sum(axis=1) > 1)
    for row in several.tolist():
        shown = [(index, text) for index, text in enumerate(_texts(table, row)) if text]
        if overlap := find_overlap(*zip(*shown, strict=True)):
            found[table.image_id(row)] = overlap
    return found


def like_background(table: ImageTable) -> tuple[str, float] | None:
    """A class that covers most of all pixels, as only background does, and its share of them."""
    covered = np.zeros(table.num_classes)
    for index, column in enumerate(table.run_columns):
        covered[index] = sum(int(_numbers(text)[1::2].sum()) for text in table.frame[column] if text)
    share = covered / max(1, sum(table.pixels().values()))
    largest = int(share.argmax())
    return (table.class_names[largest], float(share[largest])) if share[largest] > _LIKE_BACKGROUND else None


def _texts(table: ImageTable, row: int) -> list[str]:
    return [str(table.frame[column].iat[row]) for column in table.run_columns]


def _numbers(text: str) -> np.ndarray:
    return np.fromstring(text, dtype=np.int64, sep=" ")
