"""Supervisely's projects: meta.json, and for each image of DATASET/img a JSON file in DATASET/ann; no other format.

Coordinates are of pixels and not of their edges: a rectangle holds both its corners, and a polygon the pixels on its
outline, as Supervisely's own SDK draws them.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sever.config import DataSettings
from sever.data.faults import Skipped
from sever.data.formats.annotations import Annotated, Shape, field_of, image_base, labels_or_fault, table_of
from sever.data.formats.classes import Classes, classes_of
from sever.data.formats.files import files_ending, folders_below, label_files, read_big_json
from sever.data.formats.geometry import as_points, fill_box
from sever.data.images import decode_stored
from sever.data.mask_pixels import opaque
from sever.data.table import ImageTable
from sever.errors import InputError

Draw = Callable[[int, int], np.ndarray]
META, IMAGES, LABELS = "meta.json", "img", "ann"
MOST_BITMAP_BYTES = 256 << 20


def looks_like_supervisely(root: Path) -> bool:
    """Whether there is a meta.json, and a folder of annotations beside one of images."""
    return (root / META).is_file() and any((folder.parent / IMAGES).is_dir() for folder in _label_folders(root))


def read_supervisely(settings: DataSettings, split: str) -> tuple[ImageTable, list[Skipped]]:
    """Each image with the objects of its JSON file; without any: clean. Classes in the order of meta.json."""
    found = sorted(path for folder in _label_folders(settings.root) for path in files_ending(folder, ".json"))
    annotated = [_annotated(path, settings.root) for path in label_files(settings, found, ".json")]
    labels_or_fault(annotated)
    return table_of(settings, split, _classes(settings, annotated), annotated)


def _classes(settings: DataSettings, annotated: list[Annotated]) -> Classes:
    meta = settings.root / META
    records = field_of(read_big_json(meta), "classes", list, str(meta))
    names = [field_of(record, "title", str, f"{meta}, class {at + 1}") for at, record in enumerate(records)]
    return classes_of(settings, names, str(meta), {shape.label for entry in annotated for shape in entry.shapes})


def _label_folders(root: Path) -> list[Path]:
    """ann/ of the project itself or of its data sets, which may lie in one another."""
    return [folder for folder in folders_below(root, LABELS) if (folder.parent / IMAGES).is_dir()]


def _annotated(path: Path, root: Path) -> Annotated:
    """A file that can't be understood is a fault of its image, so that it never counts as clean."""
    image = path.parent.parent / IMAGES / path.stem
    base = image_base(root)
    names = (image.relative_to(base).as_posix() if image.is_relative_to(base) else image.name,)
    try:
        content = read_big_json(path)
        size = field_of(content, "size", dict, "the file")
        height, width = (field_of(size, name, int, "`size`") for name in ("height", "width"))
        records = field_of(content, "objects", list, "the file")
    except InputError as error:
        return Annotated(names, path, faults=(str(error),))
    shapes, faults = list[Shape](), list[str]()
    for at, record in enumerate(records):
        try:
            shapes.append(_shape(record, f"object {at + 1}"))
        except InputError as error:
            faults.append(str(error))
    return Annotated(names, path, tuple(shapes), (height, width), tuple(faults))


def _shape(record: Any, where: str) -> Shape:
    label = field_of(record, "classTitle", str, where)
    kind = field_of(record, "geometryType", str, where)
    if kind not in _DRAWN:
        raise InputError(f"{where}: a {kind} has no area; allowed: {', '.join(_DRAWN)}")
    try:
        return Shape(label, where, _DRAWN[kind](record))
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _polygon(record: dict[str, Any]) -> Draw:
    points = field_of(record, "points", dict, "it")
    outline = _pixels(field_of(points, "exterior", list, "`points`"))
    holes = [_pixels(hole) for hole in field_of(points, "interior", list, "`points`")]

    def draw(height: int, width: int) -> np.ndarray:
        mask_hw = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask_hw, [outline], 1)
        cv2.fillPoly(mask_hw, holes, 0)
        return mask_hw

    return draw


def _pixels(numbers: object) -> np.ndarray:
    return np.round(as_points(numbers)).astype(np.int32)


def _rectangle(record: dict[str, Any]) -> Draw:
    corners = field_of(field_of(record, "points", dict, "it"), "exterior", list, "`points`")
    if len(corners) != 2:
        raise InputError(f"a rectangle needs 2 corners, but has {len(corners)}")
    (x0, y0), (x1, y1) = _pixels([*corners, corners[0]])[:2]

    def draw(height: int, width: int) -> np.ndarray:
        return fill_box((min(x0, x1), min(y0, y1), max(x0, x1) + 1, max(y0, y1) + 1), height, width)

    return draw


def _bitmap(record: dict[str, Any]) -> Draw:
    """A PNG, deflated once more, in base64, whose first pixel lies on `origin`."""
    bitmap = field_of(record, "bitmap", dict, "it")
    origin = field_of(bitmap, "origin", list, "`bitmap`")
    if len(origin) != 2:
        raise InputError(f"`origin` of a bitmap should be x and y, but has {len(origin)} numbers")
    left, top = _pixels([origin] * 3)[0].tolist()
    text = field_of(bitmap, "data", str, "`bitmap`")

    def draw(height: int, width: int) -> np.ndarray:
        part = _unpack(text, height * width)  # here: a few bytes may claim what no memory holds
        if top < 0 or left < 0 or top + part.shape[0] > height or left + part.shape[1] > width:
            raise InputError("its bitmap is not inside the image")
        mask_hw = np.zeros((height, width), np.uint8)
        mask_hw[top : top + part.shape[0], left : left + part.shape[1]] = part
        return mask_hw

    return draw


def _unpack(text: str, max_pixels: int) -> np.ndarray:
    """(H, W) of what is not transparent, or not 0 where nothing can be transparent."""
    try:
        inflater = zlib.decompressobj()
        picture = inflater.decompress(base64.b64decode(text, validate=True), MOST_BITMAP_BYTES)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise InputError(f"the data of its bitmap can't be read: {error}") from error
    if not inflater.eof:
        raise InputError("the data of its bitmap is cut off, or larger than any mask")
    return opaque(decode_stored(picture, "the bitmap", max_pixels))


_DRAWN: dict[str, Callable[[dict[str, Any]], Draw]] = {"polygon": _polygon, "rectangle": _rectangle, "bitmap": _bitmap}
