"""Label Studio's JSON: tasks with brushes, polygons, rectangles and ellipses in percent; knows no other format."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import quoteattr

import numpy as np

from sever.config import DataSettings
from sever.data.faults import Skipped
from sever.data.formats.annotations import Annotated, Shape, field_of, labels_or_fault, table_of
from sever.data.formats.brush import decode_brush, encode_brush
from sever.data.formats.classes import classes_of
from sever.data.formats.export import Exported, Region, Wish
from sever.data.formats.files import files_ending, label_files, read_big_json
from sever.data.formats.geometry import as_points, fill_ellipse, fill_polygon, turn_about
from sever.data.images import IMAGE_SUFFIXES, decode_stored
from sever.data.mask_pixels import opaque
from sever.data.table import ImageTable
from sever.errors import InputError
from sever.files import write_text
from sever.reading import read_start

Draw = Callable[[int, int], np.ndarray]
_START_BYTES = 4096
_TASK_KEYS = (b'"annotations"', b'"predictions"', b'"file_upload"', b'"data"', b'"annotation_id"')
# Answers about an image, or about a region that has one of its own: they have no area, whatever their value repeats.
_ANSWERS = ("choices", "taxonomy", "textarea", "rating", "number", "datetime", "relation", "pairwise", "ranker")
# What Label Studio puts before the name of an uploaded file.
_PREFIX = re.compile(r"[0-9a-f]{8}-(?=.)")


def looks_like_label_studio(root: Path) -> bool:
    return bool(task_files(root))


def read_label_studio(
    settings: DataSettings, split: str, part: str = "annotations"
) -> tuple[ImageTable, list[Skipped]]:
    """The images whose tasks are annotated; no region: clean. Classes in the order of the alphabet.

    `part` "predictions" reads what a model said in place of what people did.
    """
    paths = label_files(settings, task_files(settings.root), ".json")
    annotated = [entry for path in paths for entry in _entries(path, part)]
    if not annotated:
        raise InputError(
            f"{', '.join(path.name for path in paths[:3])}: no task has {part}, so nothing says what the images show"
        )
    labels = labels_or_fault(annotated)
    classes = classes_of(settings, sorted(labels), "the labels of the tasks, sorted,", labels)
    return table_of(settings, split, classes, annotated)


def task_files(root: Path) -> list[Path]:
    """JSON files of the root that begin as lists of tasks do."""
    return [path for path in files_ending(root, ".json") if _begins_like_tasks(path)]


def _begins_like_tasks(path: Path) -> bool:
    start = read_start(path, _START_BYTES)
    return start.lstrip().startswith(b"[") and any(key in start for key in _TASK_KEYS)


def tasks_of(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Where each task stands, and the task."""
    tasks = read_big_json(path)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise InputError(f"{path} is not a list of tasks; export the project as JSON (not JSON-MIN)")
    return [(f"task {task.get('id', at + 1)}", task) for at, task in enumerate(tasks)]


def image_names(task: dict[str, Any], where: str) -> tuple[str, ...]:
    """The names that a task's image may have here: its path below the storage, its file name, that without prefix.

    A task with one text alone means an image by it, whatever it ends in: whoever looks for it says what is near.
    """
    data = task.get("data", task)
    if not isinstance(data, dict):
        raise InputError(f"{where}: `data` is not an object with names and values")
    texts = [value for value in data.values() if isinstance(value, str)]
    paths = list(map(_path_in_address, texts))
    path = next((each for each in paths if each.lower().endswith(IMAGE_SUFFIXES)), paths[0] if len(paths) == 1 else "")
    if not path:
        raise InputError(f"{where}: `data` names no image that ends in {', '.join(IMAGE_SUFFIXES)}")
    name = path.rpartition("/")[2]
    return tuple(dict.fromkeys((path, name, _PREFIX.sub("", name, count=1))))


def was_judged(annotation: Any) -> bool:
    """Whether a person answered, and did not skip the task."""
    return isinstance(annotation, dict) and not annotation.get("was_cancelled")


def marks_area(region: Any) -> bool:
    """Whether an answer marks a part of the image, and not the image as a whole."""
    value = region.get("value") if isinstance(region, dict) else None
    return not isinstance(value, dict) or "x" in value or any(key in value for key in _DRAWN)


def _path_in_address(text: str) -> str:
    try:
        parts = urlsplit(text)
    except ValueError:  # half an address, such as http://[
        return text
    return parse_qs(parts.query).get("d", [unquote(parts.path)])[0].replace("\\", "/").lstrip("/")


def _entries(path: Path, part: str) -> list[Annotated]:
    found = []
    for where, task in tasks_of(path):
        if "data" not in task:
            raise InputError(f"{path}, {where}: it has no `data`; export the project as JSON, not as JSON-MIN")
        names = image_names(task, f"{path}, {where}")
        annotations = field_of(task, part, list, f"{path}, {where}")
        kept = [each for each in annotations if not isinstance(each, dict) or was_judged(each)]
        if len(kept) == 1:
            found.append(_annotated(names, path, where, kept[0]))
        elif kept:
            said = f"{where}: it has {len(kept)} annotations, by several people or times; keep one of them"
            found.append(Annotated(names, path, faults=(said,)))
    return found


def _annotated(names: tuple[str, ...], path: Path, where: str, annotation: Any) -> Annotated:
    shapes, faults = list[Shape](), list[str]()
    size = None
    try:
        results = field_of(annotation, "result", list, where)
    except InputError as error:
        return Annotated(names, path, faults=(str(error),))
    labelled = {region["id"] for region in results if isinstance(region, dict) and "id" in region and _named(region)}
    for at, region in enumerate(results):
        here = f"{where}, region {at + 1}"
        try:
            # With the tags Polygon, Brush, ... beside Labels, a region comes twice under one id: bare, and labelled.
            bare = isinstance(region, dict) and not _named(region) and region.get("id") in labelled
            if not bare and (draw := _drawing(region, here)):
                size = field_of(region, "original_height", int, here), field_of(region, "original_width", int, here)
                shapes += [Shape(label, here, draw) for label in _labels(region, here)]
        except InputError as error:
            faults.append(str(error) if str(error).startswith(where) else f"{here}: {error}")
    return Annotated(names, path, tuple(shapes), size, tuple(faults))


def _labels(region: dict[str, Any], where: str) -> list[str]:
    if labels := _named(region):
        return labels
    raise InputError(f"{where}: it has no label")


def _named(region: dict[str, Any]) -> list[str]:
    """All that a region is marked with: brushlabels, polygonlabels, labels, ..."""
    value = region.get("value")
    lists = value.items() if isinstance(value, dict) else ()
    named = [values for key, values in lists if key.endswith(("labels", "bitmask")) and isinstance(values, list)]
    return [label for values in named for label in values if isinstance(label, str)]


def _drawing(region: Any, where: str) -> Draw | None:
    """By what its value holds; None for an answer that is no area of the image, such as a choice."""
    if isinstance(region, dict) and region.get("type") in _ANSWERS:
        return None
    value = field_of(region, "value", dict, where)
    if turn := region.get("image_rotation"):
        raise InputError(
            f"{where}: the image was turned by {turn} degrees in Label Studio when this was marked, and the export "
            "does not say whether its places are turned too; turn it back there and mark it again"
        )
    for key, drawing in _DRAWN.items():
        if key in value:
            return drawing(value, where)
    kind = region.get("type")
    raise InputError(f"{where}: a region of type {kind!r} has no area here; mark it with a brush, polygon or rectangle")


def _brush(value: dict[str, Any], where: str) -> Draw:
    numbers = field_of(value, "rle", list, where)
    return lambda height, width: decode_brush(numbers, height, width)


def _bitmask(value: dict[str, Any], where: str) -> Draw:
    """A PNG as a data URL: black on what is transparent."""
    head, _, text = field_of(value, "imageDataURL", str, where).partition(",")
    if not head.startswith("data:image/png;base64"):
        raise InputError(f"{where}: `imageDataURL` is not a PNG in base64")
    try:
        picture = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"{where}: `imageDataURL` can't be read: {error}") from error

    def draw(height: int, width: int) -> np.ndarray:
        mask_hw = opaque(decode_stored(picture, "its bitmask", height * width))
        if mask_hw.shape != (height, width):
            raise InputError(f"its bitmask is {mask_hw.shape[1]} x {mask_hw.shape[0]} pixels, not {width} x {height}")
        return mask_hw.astype(np.uint8)

    return draw


def _polygon(value: dict[str, Any], where: str) -> Draw:
    points = as_points(field_of(value, "points", list, where)) / 100
    return lambda height, width: fill_polygon(points * (width, height), height, width)


def _ellipse(value: dict[str, Any], where: str) -> Draw:
    x, y, across, down, turn = (_percent(value, key, where) for key in ("x", "y", "radiusX", "radiusY", "rotation"))

    def draw(height: int, width: int) -> np.ndarray:
        centre, radii = (x * width, y * height), (across * width, down * height)
        return fill_ellipse(centre, radii, height, width, turn * 100)

    return draw


def _rectangle(value: dict[str, Any], where: str) -> Draw:
    """Turned about its upper left corner."""
    x, y, across, down, turn = (_percent(value, key, where) for key in ("x", "y", "width", "height", "rotation"))

    def draw(height: int, width: int) -> np.ndarray:
        size = np.array([width, height])
        corners = np.array([[x, y], [x + across, y], [x + across, y + down], [x, y + down]]) * size
        return fill_polygon(turn_about(corners, (x * width, y * height), turn * 100), height, width)

    return draw


_DRAWN: dict[str, Callable[[dict[str, Any], str], Draw]] = {
    "rle": _brush,
    "imageDataURL": _bitmask,
    "points": _polygon,
    "radiusX": _ellipse,
    "height": _rectangle,
}


def _percent(value: dict[str, Any], key: str, where: str) -> float:
    if key == "rotation" and key not in value:
        return 0.0
    number = float(field_of(value, key, (int, float), where))
    if not abs(number) < 1e6:
        raise InputError(f"{where}: `{key}` is {number:g}, far beyond any image")
    return number / 100


def write_label_studio(folder: Path, images: Iterable[Exported], class_names: Sequence[str], wish: Wish) -> None:
    """tasks.json to import: a brush a region, or polygons where wished; and label_config.xml for the project.

    What a model drew are predictions, with scores, which a person accepts and corrects.
    """
    part = "predictions" if wish.predicted else "annotations"
    tasks = []
    for at, image in enumerate(images, start=1):
        regions = [each for region in image.regions() for each in _regions(region, class_names, wish, image.size)]
        for number, region in enumerate(regions):
            region["id"] = f"{at}-{number}"
        answer: dict[str, Any] = {"result": regions}
        if wish.predicted:
            scores = [region["score"] for region in regions if "score" in region]
            known = {"score": min(scores, default=1.0)} if len(scores) == len(regions) else {}
            answer |= {"model_version": "sever"} | known
        address = f"/data/local-files/?d={quote(image.image_id)}"
        tasks.append({"id": at, "data": {"image": address}, part: [answer]})
    write_text(folder / "tasks.json", json.dumps(tasks, allow_nan=False))
    write_text(folder / "label_config.xml", _label_config(class_names, wish))


def _regions(region: Region, class_names: Sequence[str], wish: Wish, size: tuple[int, int]) -> list[dict[str, Any]]:
    kind = "brushlabels" if wish.tolerance is None else "polygonlabels"
    known: dict[str, Any] = {"type": kind, "from_name": "tag", "to_name": "image", "image_rotation": 0}
    known |= {"original_height": size[0], "original_width": size[1]}
    known |= {} if region.score is None else {"score": region.score}
    labels = {kind: [class_names[region.class_index]]}
    if wish.tolerance is None:
        return [known | {"value": {"format": "rle", "rle": encode_brush(region.mask_hw)} | labels}]
    percent = 100 / np.array([size[1], size[0]])
    rings = [(ring * percent).tolist() for ring in region.rings(wish.tolerance)]
    return [known | {"value": {"points": ring, "closed": True} | labels} for ring in rings]


def _label_config(class_names: Sequence[str], wish: Wish) -> str:
    tag = "BrushLabels" if wish.tolerance is None else "PolygonLabels"
    labels = "".join(f"    <Label value={quoteattr(name)}/>\n" for name in class_names)
    image = '  <Image name="image" value="$image" zoom="true"/>\n'
    return f'<View>\n{image}  <{tag} name="tag" toName="image">\n{labels}  </{tag}>\n</View>\n'
