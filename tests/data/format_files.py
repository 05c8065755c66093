"""Small data sets in other tools' formats, written by hand; images are grey and 8 pixels high, 10 wide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sever.config import DataSettings
from sever.data.faults import Skipped
from sever.data.layouts import read_table
from sever.data.table import ImageTable
from sever.errors import InputError

HEIGHT, WIDTH = 8, 10


def save(path: Path, pixels: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix.lower(), np.asarray(pixels, np.uint8))[1].tobytes())
    return path


def save_images(folder: Path, *names: str) -> None:
    for at, name in enumerate(names):
        save(folder / name, np.full((HEIGHT, WIDTH), 50 + at))


def save_json(path: Path, value: Any) -> Path:
    return save_text(path, json.dumps(value))


def save_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def read(root: Path, split: str = "train", **settings: object) -> tuple[ImageTable, list[Skipped]]:
    return read_table(DataSettings.model_validate({"root": root, **settings}), split)


def areas(table: ImageTable) -> dict[str, list[int]]:
    """Pixels of each class, by image."""
    return {name: (table.mask(row) == 1).sum(axis=(1, 2)).tolist() for row, name in enumerate(table.image_ids)}


def fault_of(root: Path, **settings: object) -> str:
    with pytest.raises(InputError) as raised:
        read(root, **settings)
    return str(raised.value)


def box(left: float, top: float, right: float, bottom: float) -> list[float]:
    """The four corners of a box as flat numbers."""
    return [left, top, right, top, right, bottom, left, bottom]
