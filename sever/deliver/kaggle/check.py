"""Whether a submission is what the competition asks for, before it costs one of the day; knows no account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import pandas as pd

from sever.data.faults import Skipped
from sever.data.label_doubts import find_overlap
from sever.data.run_table import (
    COMBINED_FORM,
    SEPARATE_FORM,
    find_class_faults,
    find_run_faults,
    names_every_pair,
    read_run_table,
)
from sever.data.text_table import read_text_table
from sever.deliver.kaggle.plain_form import raise_unless_plain
from sever.deliver.submission import ANY_SIZE, refuse
from sever.errors import InputError


@dataclass(frozen=True)
class CheckedSubmission:
    """What a good submission holds: images by the sample, rows, and pairs of image and class with a defect."""

    images: int
    rows: int
    defective_pairs: int


def check_submission(
    path: Path,
    sample: Path,
    pixels: Mapping[str, int] | None = None,
    overlap_allowed: bool = False,
    num_classes: int | None = None,
) -> CheckedSubmission:
    """Compare a submission with the competition's sample: form, images, rows, order, run lengths, overlaps,
    and whatever else Kaggle refuses though our own reader would take it.

    In the combined form the rows are the sample's, one for one. In the separate form (defects only) images are among
    the sample's, and classes among 1..`num_classes`, where that is known, and among the sample's, unless it names a
    single one throughout, as a placeholder. `pixels` is height times width by image; without it, the end of runs is not
    checked. Unless `overlap_allowed`, a pixel belongs to one class at most. Raises InputError with the first faults.
    """
    given, (stated, form_of_sample) = _read_rows(path), read_text_table(sample, (COMBINED_FORM, SEPARATE_FORM))
    every_pair = form_of_sample == COMBINED_FORM
    if names_every_pair(path) != every_pair:
        form, option = ("ImageId_ClassId", "combined") if every_pair else ("ImageId,ClassId", "separate")
        raise InputError(
            f"{path} has the other form of CSV than {sample}, which has {form}; predict with --form {option}"
        )
    raise_unless_plain(path, sample)
    if every_pair:
        wanted = _read_rows(sample)
        _raise_unless_same_rows(path, sample, _keys(given), _keys(wanted))
        images = set(wanted["image_id"])
    else:
        images = set(stated["ImageId"])
        refuse(path, "image", f"that {sample.name} doesn't have", sorted(set(given["image_id"]) - images))
        if num_classes is not None:
            refuse(path, "row", "of a wrong class", find_class_faults(given, num_classes, "the data"))
        _raise_unless_classes_are_known(path, sample, given)
    sizes = {image_id: (pixels or {}).get(image_id, ANY_SIZE) for image_id in given["image_id"]}
    refuse(path, "row", "with wrong run lengths", find_run_faults(given, sizes))
    if not overlap_allowed:
        refuse(path, "image", "in which classes overlap", overlaps(given))
    defective = int((given["runs"] != "").sum())
    return CheckedSubmission(len(images), len(given), defective)


def overlaps(rows: pd.DataFrame) -> list[str]:
    """Where two classes of an image claim one pixel, in words. Run lengths are proper ones."""
    found = []
    for image_id, group in rows[rows["runs"] != ""].groupby("image_id", sort=False):
        if len(group) > 1:
            fault = find_overlap(group["class_index"].tolist(), group["runs"].tolist())
            found += [f"{image_id}: {fault}"] if fault else []
    return found


def _keys(rows: pd.DataFrame) -> list[str]:
    return [f"{image_id}_{index + 1}" for image_id, index in zip(rows["image_id"], rows["class_index"], strict=True)]


def _raise_unless_same_rows(path: Path, sample: Path, given: list[str], wanted: list[str]) -> None:
    there, needed = set(given), set(wanted)
    refuse(path, "row", f"that {sample.name} doesn't have", [key for key in given if key not in needed])
    refuse(path, "row", f"too few, by {sample.name}", [key for key in wanted if key not in there])
    for number, (ours, theirs) in enumerate(zip_longest(given, wanted), start=2):
        if ours != theirs:
            raise InputError(f"{path} has the rows of {sample} in another order: line {number} is {ours}, not {theirs}")


def _read_rows(path: Path) -> pd.DataFrame:
    """As `read_run_table` has them; a row that it can't read is a fault, for nothing of a submission may be lost."""
    faults: list[Skipped] = []
    rows = read_run_table(path, faults)
    refuse(path, "row", "that can't be read", faults)
    return rows


def _raise_unless_classes_are_known(path: Path, sample: Path, given: pd.DataFrame) -> None:
    """A single class throughout is a placeholder; 2019's data has class 0, which is none, for one."""
    classes = set(read_run_table(sample, faults=[])["class_index"])
    if len(classes) > 1:
        faults = [key for key, index in zip(_keys(given), given["class_index"], strict=True) if index not in classes]
        refuse(path, "row", f"of a class that {sample.name} doesn't have", faults)
