"""labelme's JSON files, one beside each image: polygons, rectangles, circles and masks; knows no other format."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np

from sever.config import DataSettings
from sever.data.faults import Skipped
from sever.data.formats.annotations import Annotated, Shape, field_of, ids_beside, image_base, labels_or_fault, table_of
from sever.data.formats.classes import classes_of
from sever.data.formats.export import Exported, Region, Wish
from sever.data.formats.files import files_ending, label_files, read_big_json
from sever.data.formats.geometry import as_points, fill_box, fill_ellipse, fill_polygon
from sever.data.images import IMAGE_SUFFIXES
from sever.data.mask_pixels import decode_picture
from sever.data.table import ImageTable
from sever.errors import InputError
from sever.files import write_text
from sever.names import inside
from sever.reading import read_start

Draw = Callable[[int, int], np.ndarray]
_START_BYTES = 4096
_LOOKED_INTO = 3


def looks_like_labelme(root: Path) -> bool:
    """Whether one of the first JSON files begins as labelme's do."""
    paths = _json_files(root)[:_LOOKED_INTO]
    return any(re.search(rb'"(shapes|imagePath)"', read_start(path, _START_BYTES)) for path in paths)


def read_labelme(settings: DataSettings, split: str) -> tuple[ImageTable, list[Skipped]]:
    """Each image with the shapes of its JSON file; without any shape: clean. Classes in the order of the alphabet."""
    paths = label_files(settings, _json_files(settings.root), ".json")
    annotated = [_annotated(path, settings.root) for path in paths]
    labels = labels_or_fault(annotated)
    classes = classes_of(settings, sorted(labels), "the labels of the JSON files, sorted,", labels)
    return table_of(settings, split, classes, annotated)


def _json_files(root: Path) -> list[Path]:
    found = files_ending(root, ".json", deep=True)
    return [path for path in found if not any(part.startswith(".") for part in path.relative_to(root).parts)]


def _annotated(path: Path, root: Path) -> Annotated:
    """A file that can't be understood is a fault of the image beside it, so that it never counts as clean."""
    beside = [path.with_suffix(suffix).name for suffix in IMAGE_SUFFIXES]
    names = [name for file in beside for name in ids_beside(path.parent, image_base(root), file)]
    try:
        content = read_big_json(path)
        # Only the name: people move folders, and the path was that of another computer.
        name = field_of(content, "imagePath", str, "the file").replace("\\", "/").rpartition("/")[2]
        shapes = field_of(content, "shapes", list, "the file")
        size = None
        if content.get("imageHeight") is not None:
            size = field_of(content, "imageHeight", int, "the file"), field_of(content, "imageWidth", int, "the file")
    except InputError as error:
        return Annotated(_existing(path, names), path, faults=(str(error),))
    drawn, faults = list[Shape](), list[str]()
    for at, shape in enumerate(shapes):
        try:
            drawn.append(_shape(shape, f"shape {at + 1}"))
        except InputError as error:
            faults.append(str(error))
    return Annotated(ids_beside(path.parent, image_base(root), name), path, tuple(drawn), size, tuple(faults))


def _existing(path: Path, names: list[str]) -> tuple[str, ...]:
    found = next(
        (path.with_suffix(suffix).name for suffix in IMAGE_SUFFIXES if path.with_suffix(suffix).exists()), None
    )
    return tuple(name for name in names if found and name.endswith(found)) or tuple(names)


def _shape(record: Any, where: str) -> Shape:
    label = field_of(record, "label", str, where)
    kind = record.get("shape_type") or "polygon"
    points = field_of(record, "points", list, where)
    if not isinstance(kind, str) or kind not in _DRAWN:
        raise InputError(f"{where}: a shape of type {kind!r} has no area here; allowed: {', '.join(_DRAWN)}")
    try:
        return Shape(label, where, _DRAWN[kind](points, record))
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _polygon(points: list[Any], record: dict[str, Any]) -> Draw:
    return partial(fill_polygon, as_points(points))


def _rectangle(points: list[Any], record: dict[str, Any]) -> Draw:
    if len(points) == 4:  # four corners, as turned boxes have them
        return _polygon(points, record)
    (x0, y0), (x1, y1) = _pairs(points, 2)
    return partial(fill_box, (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)))


def _circle(points: list[Any], record: dict[str, Any]) -> Draw:
    """The centre and a point on the rim."""
    (x, y), (x1, y1) = _pairs(points, 2)
    radius = float(np.hypot(x1 - x, y1 - y))
    return lambda height, width: fill_ellipse((x, y), (radius, radius), height, width)


def _mask(points: list[Any], record: dict[str, Any]) -> Draw:
    """A PNG in base64 whose first pixel lies on the first point; the last point is the last pixel's."""
    (left, top), _ = _pairs(points, 2)
    text = record.get("mask")
    if not isinstance(text, str):
        raise InputError("a mask needs its picture in `mask`")
    try:
        picture = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"the picture in `mask` can't be read: {error}") from error
    row, column = round(top), round(left)

    def draw(height: int, width: int) -> np.ndarray:
        part = decode_picture(picture, height * width) != 0  # here: a few bytes may claim what no memory holds
        if row < 0 or column < 0 or row + part.shape[0] > height or column + part.shape[1] > width:
            raise InputError("the picture in `mask` is not inside the image")
        mask_hw = np.zeros((height, width), np.uint8)
        mask_hw[row : row + part.shape[0], column : column + part.shape[1]] = part
        return mask_hw

    return draw


def _pairs(points: list[Any], number: int) -> list[tuple[float, float]]:
    if len(points) != number:
        raise InputError(f"there should be {number} points, not {len(points)}")
    # A third one, which is not used, since two points are no polygon.
    return [(float(x), float(y)) for x, y in as_points([*points, points[0]])[:number]]


_DRAWN: dict[str, Callable[[list[Any], dict[str, Any]], Draw]] = {
    "polygon": _polygon,
    "rectangle": _rectangle,
    "oriented_rectangle": _polygon,
    "circle": _circle,
    "mask": _mask,
}


def write_labelme(folder: Path, images: Iterable[Exported], class_names: Sequence[str], wish: Wish) -> None:
    """A JSON file beside each image: a mask a region, or polygons where wished; a model's score is its description."""
    for image in images:
        height, width = image.size
        shapes = [
            shape for region in image.regions() for shape in _shapes(region, class_names[region.class_index], wish)
        ]
        content: dict[str, Any] = {
            "version": "5.5.0",
            "flags": {},
            "shapes": shapes,
            "imagePath": PurePosixPath(image.image_id).name,
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
        path = inside(folder, image.image_id, "image id").with_suffix(".json")
        if path.exists():
            raise InputError(f"labelme has one file for images that differ in their suffix alone: {image.image_id}")
        write_text(path, json.dumps(content, allow_nan=False))


def _shapes(region: Region, label: str, wish: Wish) -> list[dict[str, Any]]:
    known: dict[str, Any] = {"label": label, "group_id": None, "flags": {}}
    known["description"] = "" if region.score is None else f"score {region.score:.4f}"
    if wish.tolerance is not None:
        rings = region.rings(wish.tolerance)
        return [known | {"points": ring.tolist(), "shape_type": "polygon", "mask": None} for ring in rings]
    left, top, width, height = region.box
    encoded, buffer = cv2.imencode(".png", region.mask_hw[top : top + height, left : left + width] * 255)
    assert encoded, "OpenCV could not encode a PNG"
    points = [[left, top], [left + width - 1, top + height - 1]]
    picture = base64.b64encode(buffer.tobytes()).decode("ascii")
    return [known | {"points": points, "shape_type": "mask", "mask": picture}]
