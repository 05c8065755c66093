"""Labels in a CSV as people write them, as the rows of run_table.py: named classes, -1, several rows a pair; knows no
image.

Submissions don't go through here: Kaggle takes none of this.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sever.config import DataSettings
from sever.data import rle
from sever.data.class_names import stated_class_names
from sever.data.faults import Skipped
from sever.data.images import IMAGE_SUFFIXES
from sever.data.run_table import REPEATED, faults_at, read_rows
from sever.data.text_table import ROW, header_of, read_text_table
from sever.errors import InputError

NAMED_FORM = ("Image_Label", "EncodedPixels")
_EMPTY = "-1"
_KEYS = ["image_id", "class_index"]
# Names of files and classes both may hold underscores: a class follows the suffix of an image.
_NAMED = re.compile(rf"(.+?(?:{'|'.join(map(re.escape, IMAGE_SUFFIXES))}))_(.+)", re.IGNORECASE)
# Ends are looked at later, when sizes are known.
_ANY_SIZE = 10**17


def read_label_rows(
    path: Path, settings: DataSettings
) -> tuple[pd.DataFrame, list[Skipped], tuple[tuple[str, ...], str] | None]:
    """As run_table.read_rows, and the names of the classes with their source where the rows name them.

    -1 is an empty mask. Several rows of a pair are joined where settings.repeated_rows says so, else faults.
    """
    if _is_named(path):
        names = _names(path, settings)
        frame, faults = _read_named(path, names[0])
    else:
        names = None
        frame, faults = read_rows(path)
    frame["runs"] = ["" if text == _EMPTY else text for text in frame["runs"]]
    if settings.repeated_rows == "join":
        faults = [fault for fault in faults if REPEATED not in fault.reason]
        frame, contradictions = _joined(frame)
        faults = sorted(faults + contradictions, key=lambda fault: fault.row or 0)
    return frame, faults, names


def _is_named(path: Path) -> bool:
    """By the header alone; what is wrong with a file is told by who reads it."""
    try:
        columns = [name.strip() for name in next(csv.reader([header_of(path)]), [])]
    except (InputError, csv.Error):
        return False
    return set(NAMED_FORM) <= set(columns) and "ImageId_ClassId" not in columns


def _names(path: Path, settings: DataSettings) -> tuple[tuple[str, ...], str]:
    """By classes.txt, else all that the rows name, in the order of the alphabet: those of the training labels.

    Labels of test images may happen to name fewer, and count from other classes then.
    """
    if stated := stated_class_names(settings.root, None):
        return stated
    training = settings.root / "train.csv"
    path = training if training.is_file() and _is_named(training) else path
    cells, _ = read_text_table(path, (NAMED_FORM,))
    parts = [_NAMED.fullmatch(text) for text in cells["Image_Label"]]
    return tuple(sorted({match[2] for match in parts if match})), path.name


def _read_named(path: Path, names: Sequence[str]) -> tuple[pd.DataFrame, list[Skipped]]:
    cells, _ = read_text_table(path, (NAMED_FORM,))
    parts = [_NAMED.fullmatch(text) for text in cells["Image_Label"]]
    numbers = {name: at for at, name in enumerate(names)}
    frame = pd.DataFrame(
        {
            "image_id": [match[1] if match else text for match, text in zip(parts, cells["Image_Label"], strict=True)],
            "class_index": np.array([numbers.get(match[2], -1) if match else -1 for match in parts], dtype=np.int64),
            "runs": ["" if text.lower() == "nan" else " ".join(text.split()) for text in cells["EncodedPixels"]],
            ROW: cells[ROW],
        }
    )
    reasons = {
        at: f"class {match[2]!r} is not one of {', '.join(names)}"
        if match
        else "there is no class behind the file name"
        for at, match in enumerate(parts)
        if match is None or match[2] not in numbers
    }
    repeated = np.flatnonzero(frame.duplicated(_KEYS).to_numpy() & (frame["class_index"].to_numpy() >= 0))
    reasons |= {int(at): f"this class of the image {REPEATED} above already" for at in repeated}
    return frame, faults_at(frame, reasons)


def _joined(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Skipped]]:
    """The rows with one for each pair: all its runs, in their order, overlapping ones as one.

    A pair that one row calls empty and another not is a fault; rows with wrong run lengths stay as they are.
    """
    several = frame[frame.duplicated(_KEYS, keep=False) & (frame["class_index"] >= 0)]
    dropped, faults = list[int](), dict[int, str]()
    runs = frame["runs"].tolist()
    for _, group in several.groupby(_KEYS, sort=False):
        places = group.index.tolist()
        texts = [runs[at] for at in places]
        if not all(texts) and any(texts):
            rows = " and ".join(str(frame[ROW].iat[at]) for at in places[:3])
            faults[places[-1]] = (
                f"rows {rows} contradict each other: one says that this class is absent, another that it is present"
            )
        elif all(rle.find_fault(text, _ANY_SIZE) is None for text in texts):
            runs[places[0]] = _union(texts)
            dropped += places[1:]
    found = faults_at(frame, faults)
    return frame.assign(runs=runs).drop(index=dropped).reset_index(drop=True), found


def _union(texts: Sequence[str]) -> str:
    numbers = np.array([int(number) for text in texts for number in text.split()], dtype=np.int64).reshape(-1, 2)
    joined: list[list[int]] = []
    for start, length in sorted(numbers.tolist()):
        if joined and start <= joined[-1][0] + joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], start + length - joined[-1][0])
        else:
            joined.append([start, length])
    return " ".join(str(number) for pair in joined for number in pair)
