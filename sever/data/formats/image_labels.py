"""Labels of whole images in a CSV, without masks: for classifiers and gates; knows no pixels.

In the table of images a class that an image shows covers all of it, so that its label survives every crop and flip. No
segmenter can learn from that, nor be scored by it: FORMATS says so, and the pipeline asks.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd

from sever.config import DataSettings
from sever.data.class_names import is_no_defect, is_unknown
from sever.data.faults import Skipped
from sever.data.formats.annotations import Annotated, Shape, table_of
from sever.data.formats.classes import classes_of
from sever.data.formats.files import label_files
from sever.data.table import ImageTable
from sever.data.text_table import ROW, SEPARATORS, header_of, read_text_table
from sever.errors import InputError

NAME_COLUMNS = ("image", "image_id", "ImageId", "filename", "file_name")
_NAMES = {name.lower() for name in NAME_COLUMNS}
LABEL_COLUMNS = ("classes", "class", "labels", "label")
FILES = ("labels.csv", "image_labels.csv", "classes.csv")
# What parts several classes of an image; names may hold spaces and commas.
_SIGNS = str.maketrans("|", ";")
_FORMS = tuple((name, label) for label in LABEL_COLUMNS for name in NAME_COLUMNS) + tuple((n,) for n in NAME_COLUMNS)


def looks_like_image_labels(root: Path) -> bool:
    return bool(_files(root))


def read_image_labels(settings: DataSettings, split: str) -> tuple[ImageTable, list[Skipped]]:
    """The images with the classes of their rows; several rows of an image add up, an empty one: clean."""
    paths = label_files(settings, _files(settings.root), ".csv")
    annotated, names = list[Annotated](), list[str]()
    for path in paths:
        rows, form = read_text_table(path, _FORMS)
        shown, own = _by_class_column(rows, *form) if len(form) == 2 else _by_columns(rows, form[0], path)
        names += own
        annotated += [_annotated(image, classes, path) for image, classes in shown.items()]
    source = ", ".join(path.name for path in paths[:3])
    return table_of(settings, split, classes_of(settings, names, source), annotated)


def _files(root: Path) -> list[Path]:
    found = [root / name for name in FILES if (root / name).is_file()]
    return [path for path in found if _NAMES & _header(path)]


def _header(path: Path) -> set[str]:
    """The columns in small letters, whatever separates them: `read_text_table` says what is wrong with them."""
    header = header_of(path).strip()
    return {name.strip(' "').lower() for name in re.split(f"[,{''.join(SEPARATORS.values())}]", header)}


def _by_class_column(rows: pd.DataFrame, name: str, label: str) -> tuple[dict[str, list[str]], list[str]]:
    """Image -> its classes, and all classes in the order of the alphabet; `a;b` and `a|b` are two."""
    shown = defaultdict[str, list[str]](list)
    for image, text in zip(rows[name], rows[label], strict=True):
        shown[image] += [part.strip() for part in text.translate(_SIGNS).split(";") if part.strip()]
    return shown, sorted({part for parts in shown.values() for part in parts if not is_no_defect(part)})


def _by_columns(rows: pd.DataFrame, name: str, path: Path) -> tuple[dict[str, list[str]], list[str]]:
    """A column of 0 and 1 for each class, in their order."""
    classes = [column for column in rows.columns if column not in (name, ROW)]
    shown = dict[str, list[str]]()
    for record in rows.to_dict("records"):
        where = f"{path}, row {record[ROW]}"
        strange = next((column for column in classes if record[column] not in ("0", "1")), None)
        if strange is not None or record[name] in shown:
            said = f"{strange} is {record[strange]!r}, not 0 or 1" if strange else f"image {record[name]} appears twice"
            raise InputError(f"{where}: {said}; give a column {' or '.join(LABEL_COLUMNS)}, or one of 0 and 1 a class")
        shown[record[name]] = [column for column in classes if record[column] == "1"]
    return shown, classes


def _annotated(image: str, classes: list[str], path: Path) -> Annotated:
    """Without a class it is clean; what nobody knows, or what contradicts itself, never is."""
    defects = [name for name in dict.fromkeys(classes) if not is_no_defect(name)]
    unknown, without = next(filter(is_unknown, classes), None), next(filter(is_no_defect, classes), None)
    if unknown is not None:
        fault = (
            f"image {image} is labelled {unknown!r}, which says neither a defect nor that there is none; leave it out"
        )
        return Annotated((image,), path, faults=(fault,))
    if defects and without is not None:
        fault = f"image {image} is labelled both {without!r} and {defects[0]!r}; take one away"
        return Annotated((image,), path, faults=(fault,))
    return Annotated((image,), path, tuple(Shape(label, f"image {image}", _everywhere) for label in defects))


def _everywhere(height: int, width: int) -> np.ndarray:
    return np.ones((height, width), np.uint8)
