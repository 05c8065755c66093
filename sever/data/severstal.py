"""The competition's layout: train.csv with run lengths beside train_images/ and test_images/; knows no mask files.

Here alone its CSV forms are read: labels, submissions and pseudo-labels all come through `read_run_table`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from sever.config import DataSettings
from sever.data import rle
from sever.data.class_names import CLASSES_FILE, numbered, stated_class_names
from sever.data.faults import Skipped, raise_unless
from sever.data.listing import leave_out, list_table, measure, with_runs, without_labels
from sever.data.table import ImageTable
from sever.data.text_table import ROW, read_text_table
from sever.errors import InputError

LABELS_FILE = "train.csv"
SAMPLE_FILE = "sample_submission.csv"
TRAIN_FOLDER = "train_images"
TEST_FOLDER = "test_images"
COMBINED_FORM = ("ImageId_ClassId", "EncodedPixels")
SEPARATE_FORM = ("ImageId", "ClassId", "EncodedPixels")

# pandas writes whole numbers as 1.0 once a column has had a gap.
_CLASS = re.compile(r"([+-]?[0-9]{1,9})(?:\.0*)?", re.ASCII)
_NAN = "nan"


def looks_like_severstal(root: Path) -> bool:
    """Whether anything of this layout is there, so that what is missing of it can be told."""
    return (root / LABELS_FILE).is_file() or (root / TRAIN_FOLDER).is_dir() or (root / TEST_FOLDER).is_dir()


def read_severstal(settings: DataSettings, split: str = "train") -> tuple[ImageTable, list[Skipped]]:
    """The images of train_images/ with their labels (without rows: clean), or of test_images/.

    Those have labels only where settings.test_labels gives them.

    The second value is what was left out, where settings.skip_bad allows it. Raises InputError for any other fault.
    """
    if split not in _SPLITS:
        raise InputError(f"split {split!r} does not exist; there are {', '.join(_SPLITS)}")
    return _SPLITS[split](settings)


def read_run_table(path: Path, faults: list[Skipped] | None = None) -> pd.DataFrame:
    """Rows of either CSV form: image_id, class_index (0..C-1), runs ("" where empty) and row (line in the file).

    With `faults` given, what is wrong is added to it and the images concerned are left out; without, it raises
    InputError. Run lengths are not looked into here, since their end depends on the image (`find_run_faults`).
    """
    table, form = read_text_table(path, (COMBINED_FORM, SEPARATE_FORM))
    if form == COMBINED_FORM:
        # File names may hold underscores, so it's the last one that parts name and class.
        parts = [text.rpartition("_") for text in table["ImageId_ClassId"]]
        image_ids, classes = [part[0] or part[2] for part in parts], [part[2] if part[0] else "" for part in parts]
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
    raise_unless(faults is not None, found, path)
    if faults is not None:
        faults += found
    return _without(frame, found)


def find_run_faults(labels: pd.DataFrame, pixels: Mapping[str, int]) -> list[Skipped]:
    """What is wrong with the run lengths of a `read_run_table`; `pixels` is height times width by image."""
    sizes = np.array([pixels[image_id] for image_id in labels["image_id"]], dtype=np.int64)
    found = rle.find_faults(labels["runs"].tolist(), sizes)
    return _faults_at(labels, found)


def find_class_faults(labels: pd.DataFrame, num_classes: int, source: str) -> list[Skipped]:
    """Rows of a class beyond the last; `source` says where the number of classes comes from."""
    indices = labels["class_index"].tolist()
    reason = f"is out of range: by {source} the classes are 1..{num_classes}"
    wrong = [at for at, index in enumerate(indices) if index >= num_classes]
    return _faults_at(labels, {at: f"class {indices[at] + 1} {reason}" for at in wrong})


def _read_train(settings: DataSettings) -> tuple[ImageTable, list[Skipped]]:
    return _read_labelled(settings, settings.root / LABELS_FILE, settings.root / TRAIN_FOLDER)


def _read_labelled(settings: DataSettings, path: Path, folder: Path) -> tuple[ImageTable, list[Skipped]]:
    skip_bad = settings.skip_bad
    faults: list[Skipped] = []
    labels = read_run_table(path, faults=faults if skip_bad else None)
    class_names, source = _stated_classes(settings) or _counted_classes(labels, path)
    everything = list_table(folder)
    chosen = everything.include(settings.include)
    in_csv = find_class_faults(labels, len(class_names), source) + _missing_images(labels, everything, folder)
    raise_unless(skip_bad, in_csv, path)

    table, unreadable = measure(chosen)
    raise_unless(skip_bad, unreadable, folder)
    pixels = table.pixels()
    labels = labels[labels["image_id"].isin(pixels.keys())].reset_index(drop=True)
    bad_runs = find_run_faults(labels, pixels)
    raise_unless(skip_bad, bad_runs, path)

    excluded = set(everything.image_ids) - set(chosen.image_ids)
    faults = [fault for fault in faults + in_csv if fault.image_id not in excluded] + unreadable + bad_runs
    return leave_out(_label(table, labels, class_names), faults), faults


def _read_test(settings: DataSettings) -> tuple[ImageTable, list[Skipped]]:
    if settings.test_labels is not None:
        return _read_labelled(settings, settings.test_labels, settings.root / TEST_FOLDER)
    folder, path = settings.root / TEST_FOLDER, settings.root / LABELS_FILE
    stated = _stated_classes(settings)
    if stated is None and not path.is_file():
        raise InputError(
            f"the number of classes is not known: {settings.root} has neither {CLASSES_FILE} nor {SAMPLE_FILE} nor "
            f"{LABELS_FILE} to tell it; set data.num_classes"
        )
    class_names, _ = stated or _counted_classes(read_run_table(path, faults=[]), path)
    table, faults = measure(list_table(folder).include(settings.include))
    raise_unless(settings.skip_bad, faults, folder)
    return leave_out(without_labels(table, class_names), faults), faults


_SPLITS: dict[str, Callable[[DataSettings], tuple[ImageTable, list[Skipped]]]] = {
    "train": _read_train,
    "test": _read_test,
}


def _stated_classes(settings: DataSettings) -> tuple[tuple[str, ...], str] | None:
    """Names and their source by settings, classes.txt or the sample submission, in this order."""
    stated = stated_class_names(settings.root, settings.num_classes)
    path = settings.root / SAMPLE_FILE
    if stated or not path.is_file():
        return stated
    faults: list[Skipped] = []
    sample = read_run_table(path, faults=faults)
    # The competition's later sample names class 0 throughout; such a placeholder says nothing.
    if faults or not _gapless(sample):
        return None
    return numbered(int(sample["class_index"].max()) + 1), SAMPLE_FILE


def _counted_classes(labels: pd.DataFrame, path: Path) -> tuple[tuple[str, ...], str]:
    if labels.empty:
        raise InputError(f"{path} has no rows that tell the number of classes; set data.num_classes")
    if not _gapless(labels):
        there = ", ".join(str(index + 1) for index in sorted(set(labels["class_index"])))
        raise InputError(f"{path} has the classes {there}, with a gap; set data.num_classes to how many there are")
    return numbered(int(labels["class_index"].max()) + 1), path.name


def _gapless(labels: pd.DataFrame) -> bool:
    indices = set(labels["class_index"])
    return bool(indices) and indices == set(range(len(indices)))


def _class_number(text: str) -> int | None:
    match = _CLASS.fullmatch(text)
    return int(match[1]) if match else None


def _row_faults(frame: pd.DataFrame, classes: list[str], form: tuple[str, ...]) -> list[Skipped]:
    bad = [at for at, index in enumerate(frame["class_index"].tolist()) if index < 0]
    nameless = np.flatnonzero(frame["image_id"] == "").tolist()
    reasons = {at: _class_fault(classes[at], form) for at in bad}
    return _faults_at(frame, reasons | dict.fromkeys(nameless, "the image has no name"))


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


def _missing_images(labels: pd.DataFrame, everything: ImageTable, folder: Path) -> list[Skipped]:
    there = set(everything.image_ids)
    missing = {at: image_id for at, image_id in enumerate(labels["image_id"].tolist()) if image_id not in there}
    if not missing:
        return []
    by_stem = {PurePosixPath(image_id).stem: image_id for image_id in everything.image_ids}
    reasons = {}
    for at, image_id in missing.items():
        similar = by_stem.get(PurePosixPath(image_id).stem)
        reasons[at] = f"this image is missing in {folder}" + (f"; {similar} is there" if similar else "")
    return _faults_at(labels, reasons)


def _faults_at(frame: pd.DataFrame, reasons: Mapping[int, str]) -> list[Skipped]:
    if not reasons:
        return []
    ids, rows = frame["image_id"].tolist(), frame[ROW].tolist()
    return [Skipped(ids[at], rows[at], reasons[at]) for at in sorted(reasons)]


def _without(frame: pd.DataFrame, faults: list[Skipped]) -> pd.DataFrame:
    bad = {fault.image_id for fault in faults}
    return frame[~frame["image_id"].isin(bad)].reset_index(drop=True) if bad else frame


def _label(table: ImageTable, labels: pd.DataFrame, class_names: tuple[str, ...]) -> ImageTable:
    columns = []
    for index in range(len(class_names)):
        rows = labels[labels["class_index"] == index]
        runs = dict(zip(rows["image_id"], rows["runs"], strict=True))
        columns.append([runs.get(image_id, "") for image_id in table.image_ids])
    return with_runs(table, columns, class_names)
