"""COCO's instances: JSON with images, categories and annotations as polygons or run lengths; knows no other format.

Also what Roboflow writes, a _annotations.coco.json in each of train/, valid/ and test/ beside the images.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sever.config import DataSettings
from sever.data.faults import Skipped
from sever.data.formats.annotations import Annotated, Shape, field_of, ids_beside, image_base, labels_of, table_of
from sever.data.formats.classes import classes_of
from sever.data.formats.counts import counts_of_letters, counts_of_mask, letters_of_counts, mask_of_counts
from sever.data.formats.export import Exported, Region, Wish
from sever.data.formats.files import MOST_BYTES, files_ending, label_files, read_big_json
from sever.data.formats.geometry import as_points, fill_box, fill_polygon
from sever.data.passed_over import has_no_labels
from sever.data.table import ImageTable
from sever.errors import InputError
from sever.files import write_text
from sever.reading import read_start
from sever.walking import entries

# COCO's own folder has captions and key points beside the instances, in files of the same build.
_PARTS = ("images", "categories", "annotations")
_START_BYTES = 4096
# A folder with more JSON files has one an image, as labelme writes them.
_MOST_FILES = 20
_log = logging.getLogger(__name__)


def looks_like_coco(root: Path) -> bool:
    """Whether a JSON file of the root, of annotations/ or beside images one folder down begins as COCO's do."""
    return any(_begins_like_coco(path) for path in _json_files(root))


def read_coco(settings: DataSettings, split: str) -> tuple[ImageTable, list[Skipped]]:
    """The images that the files list, with their annotations; no annotation: clean."""
    paths = label_files(settings, [path for path in _json_files(settings.root) if _begins_like_coco(path)], ".json")
    names, supers = dict[int, str](), dict[str, str]()
    annotated: list[Annotated] = []
    for path in paths:
        content = read_big_json(path)
        for part in _PARTS:
            field_of(content, part, list, str(path))
        own = _categories(content, path)
        _raise_unless_same(names, own, path)
        names |= own
        annotated += _images(content, own, path, settings)
        supers |= {
            name: str(record.get("supercategory"))
            for name, record in zip(own.values(), content["categories"], strict=True)
        }
    by_id = [names[number] for number in sorted(names)]
    used = labels_of(annotated)
    found = _without_super(by_id, supers, used)
    classes = classes_of(settings, found, ", ".join(path.name for path in paths[:3]), used)
    return table_of(settings, split, classes, annotated)


def _without_super(names: Sequence[str], supers: Mapping[str, str], used: set[str]) -> list[str]:
    """Without the super-category of all others that Roboflow lists as a category of its own and never uses."""
    for name in names:
        others = [supers[other] for other in names if other != name]
        if name not in used and others and set(others) == {name}:
            _log.warning(
                "category %r has no annotation and is the super-category of all others: it is not a class", name
            )
            return [other for other in names if other != name]
    return list(names)


def _json_files(root: Path) -> list[Path]:
    folders = [
        root,
        root / "annotations",
        *(path for path in entries(root) if path.is_dir() and not has_no_labels(path.name)),
    ]
    lists = [files_ending(folder, ".json") for folder in dict.fromkeys(folders) if folder.is_dir()]
    return [path for paths in lists if len(paths) <= _MOST_FILES for path in paths]


def _begins_like_coco(path: Path) -> bool:
    """By its text alone, since such files may be large: it is an object, and has two of the three lists; in a folder
    `annotations` one is enough, or a file that was cut off would not be told."""
    text = read_start(path, MOST_BYTES)
    wanted = ("images",) if path.parent.name == "annotations" else ("images", "categories")
    return text[:_START_BYTES].lstrip().startswith(b"{") and all(f'"{part}"'.encode() in text for part in wanted)


def _categories(content: dict[str, Any], path: Path) -> dict[int, str]:
    names: dict[int, str] = {}
    for at, record in enumerate(content["categories"]):
        where = f"{path}, category {at + 1}"
        number, name = field_of(record, "id", int, where), field_of(record, "name", str, where)
        if number in names or name in names.values():
            raise InputError(f"{where}: the id {number} or the name {name!r} appears twice")
        names[number] = name
    return names


def _raise_unless_same(names: dict[int, str], own: dict[int, str], path: Path) -> None:
    for number, name in own.items():
        if names.get(number, name) != name:
            raise InputError(
                f"{path}: category {number} is {name!r}, but {names[number]!r} in another file; name one file in "
                "data.labels"
            )


def _images(content: dict[str, Any], names: dict[int, str], path: Path, settings: DataSettings) -> list[Annotated]:
    shapes, faults = defaultdict[int, list[Shape]](list), defaultdict[int, list[str]](list)
    numbers = set[int]()
    for at, record in enumerate(content["images"]):
        number = field_of(record, "id", int, f"{path}, image {at + 1}")
        if number in numbers:
            raise InputError(f"{path}, image {at + 1}: the id {number} appears twice")
        numbers.add(number)
    for at, record in enumerate(content["annotations"]):
        owner = field_of(record, "image_id", int, f"{path}, annotation {at + 1}")
        where = f"annotation {record.get('id', at + 1)}"
        if owner not in numbers:
            raise InputError(f"{path}, {where}: image_id {owner} is not an image of this file")
        try:
            shapes[owner].append(_shape(record, names, where, settings))
        except InputError as error:
            faults[owner].append(str(error))
    return [_image(record, path, settings, shapes, faults) for record in content["images"]]


def _image(
    record: dict[str, Any],
    path: Path,
    settings: DataSettings,
    shapes: dict[int, list[Shape]],
    faults: dict[int, list[str]],
) -> Annotated:
    number, where = record["id"], f"{path}, image {record['id']}"
    name = field_of(record, "file_name", str, where)
    size = None
    if record.get("height") is not None or record.get("width") is not None:
        size = field_of(record, "height", int, where), field_of(record, "width", int, where)
    own = tuple(shapes.get(number, ())), tuple(faults.get(number, ()))
    return Annotated(ids_beside(path.parent, image_base(settings.root), name), path, own[0], size, own[1])


def _shape(record: dict[str, Any], names: dict[int, str], where: str, settings: DataSettings) -> Shape:
    number = field_of(record, "category_id", int, where)
    if number not in names:
        raise InputError(f"{where}: category_id {number} is not a category of this file")
    return Shape(names[number], where, _drawing(record, where, settings))


def _drawing(record: dict[str, Any], where: str, settings: DataSettings) -> Callable[[int, int], np.ndarray]:
    found = record.get("segmentation")
    if isinstance(found, dict):
        return _run_lengths(found, where)
    if isinstance(found, list) and found:
        try:
            return partial(_fill_all, [as_points(ring) for ring in found])
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
    if found not in (None, []):
        raise InputError(f"{where}: `segmentation` is neither polygons nor run lengths")
    if settings.boxes == "error":
        raise InputError(f"{where}: it is a box without outline; set data.boxes: fill if the whole box is the defect")
    left, top, width, height = _four(field_of(record, "bbox", list, where), where)
    return partial(fill_box, (left, top, left + width, top + height))


def _run_lengths(found: dict[str, Any], where: str) -> Callable[[int, int], np.ndarray]:
    counts, size = field_of(found, "counts", (str, list), where), field_of(found, "size", list, where)
    try:
        numbers = counts_of_letters(counts) if isinstance(counts, str) else counts
    except InputError as error:
        raise InputError(f"{where}: {error}") from error

    def draw(height: int, width: int) -> np.ndarray:
        if size != [height, width]:
            raise InputError(f"its run lengths are for {size} (height, width), but the image is {[height, width]}")
        return mask_of_counts(numbers, height, width)

    return draw


def _fill_all(rings: list[np.ndarray], height: int, width: int) -> np.ndarray:
    mask_hw = np.zeros((height, width), np.uint8)
    for ring in rings:
        mask_hw |= fill_polygon(ring, height, width)
    return mask_hw


def _four(numbers: list[Any], where: str) -> tuple[float, float, float, float]:
    if len(numbers) != 4 or not all(isinstance(number, (int, float)) for number in numbers):
        raise InputError(f"{where}: `bbox` should be four numbers: left, top, width, height")
    return tuple(map(float, numbers))  # type: ignore[return-value]


def write_coco(folder: Path, images: Iterable[Exported], class_names: Sequence[str], wish: Wish) -> None:
    """annotations/instances_default.json: an annotation a region, run lengths in letters, or polygons where wished."""
    records, annotations = list[dict[str, Any]](), list[dict[str, Any]]()
    for image in images:
        height, width = image.size
        records.append({"id": len(records) + 1, "file_name": image.image_id, "height": height, "width": width})
        for region in image.regions():
            annotations.append({"id": len(annotations) + 1, "image_id": len(records)} | _record(region, wish))
    categories = [{"id": at, "name": name, "supercategory": ""} for at, name in enumerate(class_names, start=1)]
    content = {"images": records, "categories": categories, "annotations": annotations}
    write_text(folder / "annotations" / "instances_default.json", json.dumps(content, allow_nan=False))


def _record(region: Region, wish: Wish) -> dict[str, Any]:
    segmentation: Any = {
        "size": list(region.mask_hw.shape),
        "counts": letters_of_counts(counts_of_mask(region.mask_hw)),
    }
    if wish.tolerance is not None:
        segmentation = [ring.ravel().tolist() for ring in region.rings(wish.tolerance)]
    score = {} if region.score is None else {"score": region.score}
    area = int(np.count_nonzero(region.mask_hw))
    known = {"category_id": region.class_index + 1, "iscrowd": 0, "area": area, "bbox": list(region.box)}
    return known | {"segmentation": segmentation} | score
