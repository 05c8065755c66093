"""The competition's CSV of run lengths, read and written in both its forms; knows no folder and no image.

"combined" has a row for every (image, class) pair, empty where there is no defect; the later "separate" has rows for
defects only. Labels, submissions and pseudo-labels all go through here.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd

from sever.data import rle
from sever.data.faults import Skipped, raise_unless
from sever.data.images import IMAGE_SUFFIXES
from sever.data.text_table import ROW, header_of, read_text_table
from sever.errors import InputError

COMBINED_FORM = ("ImageId_ClassId", "EncodedPixels")
SEPARATE_FORM = ("ImageId", "ClassId", "EncodedPixels")

# An image and the run lengths of its C classes, "" where a class is absent.
ImageRuns = tuple[str, Sequence[str]]

# pandas writes whole numbers as 1.0 once a column has had a gap.
_CLASS = re.compile(r"([+-]?[0-9]{1,9})(?:\.0*)?", re.ASCII)
_NAN = "nan"
REPEATED = "was in row"  # what tells the fault of a second row from others


def read_run_table(path: Path, faults: list[Skipped] | None = None) -> pd.DataFrame:
    """Rows of either CSV form: image_id, class_index (0..C-1), runs ("" where empty) and row (line in the file).

    With `faults` given, what is wrong is added to it and the images concerned are left out; without, it raises
    InputError. Run lengths are not looked into here, since their end depends on the image (`find_run_faults`).
    """
    frame, found = read_rows(path)
    raise_unless(faults is not None, found, path)
    if faults is not None:
        faults += found
    return without_rows(frame, found)


def read_rows(path: Path) -> tuple[pd.DataFrame, list[Skipped]]:
    """As `read_run_table`, but all rows, the bad ones too, and what is wrong; class_index is below 0 where unknown."""
    table, form = read_text_table(path, (COMBINED_FORM, SEPARATE_FORM))
    if form == COMBINED_FORM:
        # File names may hold underscores, so it's the last one that parts name and class.
        parts = [_name_and_class(text) for text in table["ImageId_ClassId"]]
        image_ids, classes = [part[0] for part in parts], [part[1] for part in parts]
    else:
        image_ids, classes = table["ImageId"].tolist(), table["ClassId"].tolist()
    numbers = {text: _class_number(text) for text in set(classes)}
    frame = pd.DataFrame(
        {
            "image_id": image_ids,
            "class_index": np.array([(numbers[text] or 0) - 1 for text in classes], dtype=np.int64),
            "runs": ["" if text.lower() == _NAN else " ".join(text.split()) for text in table["EncodedPixels"]],
            ROW: table[ROW],
        }
    )
    found = sorted(_row_faults(frame, classes, form) + _duplicates(frame), key=lambda fault: fault.row or 0)
    return frame, found


def names_every_pair(path: Path) -> bool:
    """Whether a file that `read_run_table` takes is in the combined form, which needs a row for every pair."""
    return COMBINED_FORM[0] in [name.strip() for name in next(csv.reader([header_of(path)]))]


def find_run_faults(labels: pd.DataFrame, pixels: Mapping[str, int]) -> list[Skipped]:
    """What is wrong with the run lengths of a `read_run_table`; `pixels` is height times width by image."""
    sizes = np.array([pixels[image_id] for image_id in labels["image_id"]], dtype=np.int64)
    found = rle.find_faults(labels["runs"].tolist(), sizes)
    return faults_at(labels, found)


def find_class_faults(labels: pd.DataFrame, num_classes: int, source: str) -> list[Skipped]:
    """Rows of a class beyond the last; `source` says where the number of classes comes from."""
    indices = labels["class_index"].tolist()
    reason = f"is out of range: by {source} the classes are 1..{num_classes}"
    wrong = [at for at, index in enumerate(indices) if index >= num_classes]
    return faults_at(labels, {at: f"class {indices[at] + 1} {reason}" for at in wrong})


def write_run_table(file: TextIO, rows: Iterable[ImageRuns], form: str) -> int:
    """Write image after image, classes counted from 1; returns how many images. Raises InputError for an unknown form.

    `file` is open with newline="".
    """
    if form not in FORMS:
        raise InputError(f"unknown form of CSV {form!r}; allowed: {', '.join(FORMS)}")
    header, lines = FORMS[form]
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    count = 0
    for image_id, runs in rows:
        writer.writerows(lines(image_id, runs))
        count += 1
    return count


def _name_and_class(text: str) -> tuple[str, str]:
    """The two parts of an ImageId_ClassId; without a class where it ends in an image's suffix."""
    name, _, number = text.rpartition("_")
    has_class = name and not number.lower().endswith(IMAGE_SUFFIXES)
    return (name, number) if has_class else (text, "")


def _class_number(text: str) -> int | None:
    match = _CLASS.fullmatch(text)
    return int(match[1]) if match else None


def _row_faults(frame: pd.DataFrame, classes: list[str], form: tuple[str, ...]) -> list[Skipped]:
    bad = [at for at, index in enumerate(frame["class_index"].tolist()) if index < 0]
    nameless = np.flatnonzero(frame["image_id"] == "").tolist()
    reasons = {at: _class_fault(classes[at], form) for at in bad}
    return faults_at(frame, reasons | dict.fromkeys(nameless, "the image has no name"))


def _class_fault(text: str, form: tuple[str, ...]) -> str:
    if _class_number(text) is not None:
        return f"class {text} is out of range: classes count from 1"
    if form == COMBINED_FORM and not text:
        return "there is no class; ImageId_ClassId is the image's file name, an underscore and the class"
    return f"class {text!r} is not a whole number"


def _duplicates(frame: pd.DataFrame) -> list[Skipped]:
    keys = ["image_id", "class_index"]
    twice = np.flatnonzero(frame.duplicated(keys).to_numpy() & (frame["class_index"].to_numpy() >= 0))
    if not len(twice):
        return []
    first = frame.drop_duplicates(keys).set_index(keys)[ROW].to_dict()
    again = frame.iloc[twice]
    return [
        Skipped(image_id, row, f"class {index + 1} of this image was in row {first[image_id, index]} already")
        for image_id, index, row in zip(again["image_id"], again["class_index"], again[ROW], strict=True)
    ]


def faults_at(frame: pd.DataFrame, reasons: Mapping[int, str]) -> list[Skipped]:
    """A fault for each position of a run table's rows."""
    if not reasons:
        return []
    ids, rows = frame["image_id"].tolist(), frame[ROW].tolist()
    return [Skipped(ids[at], rows[at], reasons[at]) for at in sorted(reasons)]


def without_rows(frame: pd.DataFrame, faults: Iterable[Skipped]) -> pd.DataFrame:
    """The rows without those of the images, as they are written there, that have a fault."""
    bad = {fault.image_id for fault in faults}
    return frame[~frame["image_id"].isin(bad)].reset_index(drop=True) if bad else frame


def _combined_lines(image_id: str, runs: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for number, text in enumerate(runs, start=1):
        yield f"{image_id}_{number}", text


def _separate_lines(image_id: str, runs: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for number, text in enumerate(runs, start=1):
        if text:
            yield image_id, str(number), text


FORMS: dict[str, tuple[tuple[str, ...], Callable[[str, Sequence[str]], Iterator[tuple[str, ...]]]]] = {
    "combined": (COMBINED_FORM, _combined_lines),
    "separate": (SEPARATE_FORM, _separate_lines),
}
