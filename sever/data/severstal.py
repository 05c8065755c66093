"""The competition's layout: train.csv with run lengths beside train_images/ and test_images/; knows no mask files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pandas as pd

from sever.config import DataSettings
from sever.data import rle
from sever.data.bad_rows import in_doubt, missing_images, with_images
from sever.data.class_names import CLASSES_FILE, numbered, stated_class_names
from sever.data.faults import Skipped, raise_unless, without_images
from sever.data.formats.export import Exported, Wish
from sever.data.label_rows import read_label_rows
from sever.data.listing import leave_out, list_table, measure, with_runs, without_labels
from sever.data.run_table import (
    find_class_faults,
    find_run_faults,
    names_every_pair,
    read_run_table,
    without_rows,
    write_run_table,
)
from sever.data.table import ImageTable
from sever.errors import InputError
from sever.files import atomic_path
from sever.near_names import NearNames

LABELS_FILE = "train.csv"
SAMPLE_FILE = "sample_submission.csv"
TRAIN_FOLDER = "train_images"
TEST_FOLDER = "test_images"
_SETTING = "data.num_classes (evaluate --num-classes)"


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


def _read_train(settings: DataSettings) -> tuple[ImageTable, list[Skipped]]:
    root = settings.root
    if (root / TEST_FOLDER).is_dir() and not (root / LABELS_FILE).exists() and not (root / TRAIN_FOLDER).exists():
        raise InputError(
            f"{root} has images without labels alone, in {TEST_FOLDER}/, which can be predicted; this needs "
            f"{LABELS_FILE} and {TRAIN_FOLDER}/ beside them"
        )
    return _read_labelled(settings, root / LABELS_FILE, root / TRAIN_FOLDER)


def _read_labelled(settings: DataSettings, path: Path, folder: Path) -> tuple[ImageTable, list[Skipped]]:
    rows, faults, named = read_label_rows(path, settings)
    raise_unless(settings.skip_bad, faults, path)
    class_names, source = named or _classes(settings, {path: rows})
    labels, everything = without_rows(rows, faults), list_table(folder)
    chosen, near = everything.include(settings.include), NearNames(everything.image_ids)
    faults += find_class_faults(labels, len(class_names), source) + missing_images(labels, near, folder)
    raise_unless(settings.skip_bad, faults, path)
    faults = with_images(faults, near)
    faults += in_doubt(rows, faults, chosen.image_ids)

    table, unreadable = measure(chosen, settings.max_pixels)
    raise_unless(settings.skip_bad, unreadable, folder)
    pixels = table.pixels()
    labels = labels[labels["image_id"].isin(pixels.keys())].reset_index(drop=True)
    bad_runs = find_run_faults(labels, pixels)
    raise_unless(settings.skip_bad, bad_runs, path)

    excluded = set(everything.image_ids) - set(chosen.image_ids)
    faults = without_images(faults, excluded) + unreadable + bad_runs
    return leave_out(_label(table, labels, class_names), faults), faults


def _read_test(settings: DataSettings) -> tuple[ImageTable, list[Skipped]]:
    if settings.test_labels is not None:
        return _read_labelled(settings, settings.test_labels, settings.root / TEST_FOLDER)
    folder = settings.root / TEST_FOLDER
    class_names, _ = _classes(settings, {})
    table, faults = measure(list_table(folder).include(settings.include), settings.max_pixels)
    raise_unless(settings.skip_bad, faults, folder)
    return leave_out(without_labels(table, class_names), faults), faults


_SPLITS: dict[str, Callable[[DataSettings], tuple[ImageTable, list[Skipped]]]] = {
    "train": _read_train,
    "test": _read_test,
}


def _classes(settings: DataSettings, read: dict[Path, pd.DataFrame]) -> tuple[tuple[str, ...], str]:
    """Names and their source, the same whichever file is read: the data set's, not those that one file happens to show.

    By the settings, classes.txt or the sample submission, else by the training labels, and only where these don't tell
    it by all labels together: of a few test images a rare class may show in none. `read`: rows read already.
    """
    if stated := _stated_classes(settings):
        return stated
    there = [path for path in (settings.root / LABELS_FILE, settings.test_labels) if path and path.is_file()]
    if not there:
        raise InputError(
            f"the number of classes is not known: {settings.root} has neither {CLASSES_FILE} nor {SAMPLE_FILE} nor "
            f"{LABELS_FILE} to count them; set {_SETTING}"
        )
    seen: set[int] = set()
    for count, path in enumerate(there, start=1):
        # By all rows that name a class, for whatever fault their images are left out.
        rows, _, named = (read[path], [], None) if path in read else read_label_rows(path, settings)
        if named:
            return named
        seen |= {int(index) for index in rows["class_index"] if index >= 0}
        if seen and seen == set(range(len(seen))):
            return numbered(len(seen)), _joined(there[:count])
    if not seen:
        raise InputError(f"{_joined(there)}: no row gives the number of classes; set {_SETTING}")
    shown = ", ".join(str(index + 1) for index in sorted(seen))
    raise InputError(f"{_joined(there)}: the classes are {shown}, with a gap; set {_SETTING} to how many there are")


def _stated_classes(settings: DataSettings) -> tuple[tuple[str, ...], str] | None:
    """Names and their source by settings, classes.txt or the sample submission, in this order."""
    stated = stated_class_names(settings.root, settings.num_classes)
    path = settings.root / SAMPLE_FILE
    if stated or not path.is_file():
        return stated
    faults: list[Skipped] = []
    sample = read_run_table(path, faults=faults)
    indices = set(sample["class_index"])
    # The later form needs no row for every class: its samples name a single one throughout, which says nothing.
    placeholder = not names_every_pair(path) and len(indices) == 1
    if faults or placeholder or not indices or indices != set(range(len(indices))):
        return None
    return numbered(len(indices)), SAMPLE_FILE


def _joined(paths: list[Path]) -> str:
    return " and ".join(path.name if len(paths) > 1 else str(path) for path in paths)


def _label(table: ImageTable, labels: pd.DataFrame, class_names: tuple[str, ...]) -> ImageTable:
    columns = []
    for index in range(len(class_names)):
        rows = labels[labels["class_index"] == index]
        runs = dict(zip(rows["image_id"], rows["runs"], strict=True))
        columns.append([runs.get(image_id, "") for image_id in table.image_ids])
    return with_runs(table, columns, class_names)


def write_severstal(folder: Path, images: Iterable[Exported], class_names: Sequence[str], wish: Wish) -> None:
    """train.csv with a row for every pair of image and class."""
    with atomic_path(folder / LABELS_FILE) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        write_run_table(file, ((image.image_id, _runs_of(image)) for image in images), "combined")


def _runs_of(image: Exported) -> list[str]:
    return [rle.encode(mask_hw == 1) for mask_hw in image.masks_chw]
