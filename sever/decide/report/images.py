"""Which images a report shows, and what it says below each; draws none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sever.decide.metrics import dice_pairs
from sever.decide.report.counts import ReportCounts
from sever.decide.report.numbers import Numbers, certainty_of_images


@dataclass(frozen=True)
class Gallery:
    """Rows of images under one heading, the most telling first."""

    title: str
    note: str
    rows: tuple[int, ...]


def choose_images(counted: ReportCounts, each: int) -> list[Gallery]:
    """The images worth a look, `each` a gallery; galleries without images are left out. Equal ones in table order."""
    dice_n = counted.sheet.dice().mean(axis=1)
    defective = np.flatnonzero(counted.sheet.is_positive().any(axis=1))
    flawed = np.flatnonzero(dice_n < 1)
    best = defective[np.argsort(-dice_n[defective], kind="stable")]
    worst = flawed[np.argsort(dice_n[flawed], kind="stable")]
    missed, false_alarms = _sizes_of_errors(counted)
    galleries = [
        Gallery("Best", "Images with a defect, by the mean Dice of their classes.", _first(best, each)),
        Gallery("Worst", "By the mean Dice of their classes.", _first(worst, each)),
        Gallery(
            "Most uncertain",
            "Where the model trusts its own masks least, whether they are right or not.",
            _first(np.argsort(certainty_of_images(counted), kind="stable"), each),
        ),
        Gallery("Largest missed defects", "A class is there, and nothing of it was drawn.", _largest(missed, each)),
        Gallery("Largest false alarms", "A class was drawn that is not there.", _largest(false_alarms, each)),
    ]
    return [gallery for gallery in galleries if gallery.rows]


def _sizes_of_errors(counted: ReportCounts) -> tuple[np.ndarray, np.ndarray]:
    """(N,) pixels of the largest missed class, and of the largest class drawn that is not there; 0 without any."""
    true_nc = np.array([counts.true[:-1] for counts in counted.sheet.counts])
    drawn_nc = np.array([counts.predicted[:-1] for counts in counted.sheet.counts])
    return np.where(drawn_nc == 0, true_nc, 0).max(axis=1), np.where(true_nc == 0, drawn_nc, 0).max(axis=1)


def _first(rows: np.ndarray, count: int) -> tuple[int, ...]:
    return tuple(int(row) for row in rows[:count])


def _largest(sizes_n: np.ndarray, count: int) -> tuple[int, ...]:
    return tuple(row for row in _first(np.argsort(-sizes_n, kind="stable"), count) if sizes_n[row])


def gallery_numbers(galleries: Sequence[Gallery], counted: ReportCounts, class_names: Sequence[str]) -> list[Numbers]:
    """As the page shows them: an image that stands in two galleries is shown in the first and named in the other."""
    shown: set[int] = set()
    found = []
    for gallery in galleries:
        new = [row for row in gallery.rows if row not in shown]
        shown.update(new)
        again = [counted.sheet.image_ids[row] for row in gallery.rows if row not in new]
        images = [_image_numbers(row, counted, class_names) for row in new]
        found.append({"title": gallery.title, "note": gallery.note, "images": images, "elsewhere": again})
    return found


def _image_numbers(row: int, counted: ReportCounts, class_names: Sequence[str]) -> Numbers:
    counts = counted.sheet.counts[row]
    dice_c = dice_pairs(counts)
    classes = [
        {
            "name": name,
            "dice": float(dice_c[index]),
            "true_pixels": int(counts.true[index]),
            "pred_pixels": int(counts.predicted[index]),
        }
        for index, name in enumerate(class_names)
        if counts.true[index] or counts.predicted[index]
    ]
    return {
        "image_id": counted.sheet.image_ids[row],
        "anchor": f"image-{row + 1}",
        "dice": float(dice_c.mean()),
        "certainty": float(counted.certainties[row].mean()),
        "classes": classes,
        "true_names": [each["name"] for each in classes if each["true_pixels"]],
        "drawn_names": [each["name"] for each in classes if each["pred_pixels"]],
    }
