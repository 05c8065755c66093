"""Labelled and pseudo-labelled images as one table; knows not who made the labels, nor when an image is drawn."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd

from sever.config import MAX_PIXELS, PseudoSettings
from sever.counted import counted
from sever.data.faults import Skipped
from sever.data.listing import list_table, measure, with_runs
from sever.data.run_table import (
    COMBINED_FORM,
    SEPARATE_FORM,
    find_class_faults,
    find_run_faults,
    read_run_table,
)
from sever.data.table import IGNORED_COLUMN, ImageTable
from sever.data.text_table import ROW, read_text_table
from sever.errors import InputError
from sever.near_names import NearNames, missing

CONFIDENCE = "Confidence"
# Of many images at fault, so many are named.
SHOWN = 3


def check_there(settings: PseudoSettings) -> None:
    """Raises InputError where the labels or the images are not there: told before a large data set is read."""
    if not settings.labels.is_file():
        raise InputError(f"pseudo.labels: {missing(settings.labels, 'file')}; `sever pseudo` writes it (pseudo.csv)")
    if not settings.images.is_dir():
        raise InputError(f"pseudo.images: {missing(settings.images, 'folder')}")


def read_pseudo_labelled(
    settings: PseudoSettings, labelled: ImageTable, labels_file: Path | None = None, max_pixels: int = MAX_PIXELS
) -> ImageTable:
    """The images that the CSV names, with its labels: those of at least `min_confidence`, in the order of their ids.

    An image's rows are its classes; one without run lengths says that the class is absent, all of them that the image
    is clean. `labelled` is the whole labelled set, whoever validates; `labels_file`: a copy to read in place of
    settings.labels. Raises InputError for every fault of the file or its images, for an image that `labelled` has too,
    and where none is left.
    """
    path = labels_file or settings.labels
    check_there(settings.model_copy(update={"labels": path}))
    class_names, unreadable = labelled.class_names, list[Skipped]()
    rows = read_run_table(path, unreadable)
    _refuse(unreadable, path)
    _refuse(find_class_faults(rows, len(class_names), "the labelled data set"), path)
    rows = rows[_sure_enough(rows, path, settings.min_confidence)].reset_index(drop=True)
    if rows.empty:
        raise InputError(
            f"{path} has no image of a confidence of at least {settings.min_confidence:g}; lower "
            "pseudo.min_confidence, label more images, or take the section pseudo out"
        )
    table = _measured(rows, settings.images, path, max_pixels)
    _refuse(find_run_faults(rows, table.pixels()), path)
    pseudo = with_runs(table, _runs_by_class(rows, table, len(class_names)), class_names)
    _raise_if_shared(pseudo, labelled, path)
    return pseudo


def write_pseudo_labels(file: TextIO, rows: Iterable[tuple[str, Sequence[str], Sequence[float]]]) -> None:
    """Write image after image: id, and for each class its run lengths, "" where absent, and how sure that is, 0..1.

    `file` is open with newline="". Every class has its row, so that clean images are there too.
    """
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow((*SEPARATE_FORM, CONFIDENCE))
    for image_id, runs, confidences in rows:
        for number, (text, confidence) in enumerate(zip(runs, confidences, strict=True), start=1):
            writer.writerow((image_id, number, text, f"{confidence:.4f}"))


def join(labelled: ImageTable, pseudo: ImageTable) -> ImageTable:
    """Both as one table, the labelled rows first."""
    assert labelled.class_names == pseudo.class_names, (labelled.class_names, pseudo.class_names)
    frames = [labelled.frame.astype({"group": object}), pseudo.frame.astype({"group": object})]
    frame = pd.concat(frames, ignore_index=True)
    if IGNORED_COLUMN in frame:  # pseudo-labels have none
        frame[IGNORED_COLUMN] = frame[IGNORED_COLUMN].fillna("")
    return ImageTable(frame, labelled.class_names)


def _sure_enough(rows: pd.DataFrame, path: Path, least: float) -> np.ndarray:
    """(rows,) bool: those of images whose least certain row is certain enough."""
    if least == 0:
        return np.ones(len(rows), bool)
    forms = tuple((*form, CONFIDENCE) for form in (COMBINED_FORM, SEPARATE_FORM))
    cells, _ = read_text_table(path, forms)
    confidences = pd.to_numeric(cells[CONFIDENCE], errors="coerce").set_axis(cells[ROW])
    bad = confidences.index[~confidences.between(0, 1)].tolist()
    if bad:
        raise InputError(
            f"{path}, row {bad[0]}: {CONFIDENCE} must be a number from 0 to 1; mend {counted(len(bad), 'row')}"
        )
    own = rows[ROW].map(confidences)
    return np.asarray(own.groupby(rows["image_id"]).transform("min") >= least)


def _measured(rows: pd.DataFrame, folder: Path, path: Path, max_pixels: int) -> ImageTable:
    """The images of the rows with path and size, in the order of their ids."""
    everything = list_table(folder)
    wanted = set(rows["image_id"])
    missing = sorted(wanted - set(everything.image_ids))
    if missing:
        raise InputError(
            f"{path} names {counted(len(missing), 'image that is', 'images that are')} "
            f"missing in pseudo.images {folder}: "
            f"{', '.join(missing[:SHOWN])}; ids there look like {everything.image_id(0)}"
            f"{NearNames(everything.image_ids).hint(missing[0])}"
        )
    keep = [row for row, image_id in enumerate(everything.image_ids) if image_id in wanted]
    table, faults = measure(everything.take(keep), max_pixels)
    _refuse(faults, folder)
    return table


def _refuse(faults: list[Skipped], source: Path) -> None:
    """Nothing of the pseudo-labels is left out silently or on demand: they can be made anew."""
    if faults:
        first = "; ".join(map(str, faults[:SHOWN]))
        raise InputError(
            f"{source} has {counted(len(faults), 'fault')}: {first}; mend them, or run `sever pseudo` again"
        )


def _runs_by_class(rows: pd.DataFrame, table: ImageTable, num_classes: int) -> list[list[str]]:
    keys = zip(rows["image_id"], rows["class_index"], strict=True)
    runs = dict(zip(keys, rows["runs"], strict=True))
    return [[runs.get((image_id, index), "") for image_id in table.image_ids] for index in range(num_classes)]


def _raise_if_shared(pseudo: ImageTable, labelled: ImageTable, path: Path) -> None:
    """An image that has true labels needs no guessed ones, and one that validates must not train."""
    ids = set(labelled.image_ids)
    files = {labelled.path(row).resolve() for row in range(len(labelled))}
    shared = [
        image_id
        for row, image_id in enumerate(pseudo.image_ids)
        if image_id in ids or pseudo.path(row).resolve() in files
    ]
    if shared:
        raise InputError(
            f"{path} has {counted(len(shared), 'image')} that the labelled data set has too (by id or by file): "
            f"{', '.join(shared[:SHOWN])}; take them out of one of the two, or rename other images of the same name"
        )
