"""CVAT's "for images 1.1": one XML with polygons, boxes, ellipses and masks as run lengths; knows no other format."""

from __future__ import annotations

import logging
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from sever.config import DataSettings
from sever.counted import counted
from sever.data.faults import Skipped
from sever.data.formats.annotations import Annotated, Shape, labels_of, table_of
from sever.data.formats.classes import classes_of
from sever.data.formats.counts import counts_of_mask, mask_of_counts
from sever.data.formats.export import Exported, Region, Wish
from sever.data.formats.files import files_ending, label_files, read_xml
from sever.data.formats.geometry import as_points, fill_box, fill_ellipse, fill_polygon, turn_about
from sever.data.table import ImageTable
from sever.errors import InputError
from sever.files import write_text
from sever.reading import read_start

Draw = Callable[[int, int], np.ndarray]
_START_BYTES = 4096
_log = logging.getLogger(__name__)


def looks_like_cvat(root: Path) -> bool:
    return bool(_files(root))


def read_cvat(settings: DataSettings, split: str) -> tuple[ImageTable, list[Skipped]]:
    """The images that the XML lists, with their shapes; without any: clean. Classes in the order of the task."""
    paths = label_files(settings, _files(settings.root), ".xml")
    names, annotated, tags = list[str](), list[Annotated](), 0
    for path in paths:
        document = read_xml(path)
        if document.find("track") is not None:
            raise InputError(f"{path} has the tracks of a video; export the task as `CVAT for images 1.1`")
        own = [label.text or "" for label in document.findall("./meta//label/name")]
        names += own
        annotated += [_annotated(element, path, own) for element in document.findall("image")]
        tags += len(document.findall("image/tag"))
    if tags:
        _log.warning("%s of whole images not read: they mark no area", counted(tags, "tag"))
    used = labels_of(annotated)
    # The labels of a task are all in its meta part; files made by hand may lack it.
    classes = classes_of(settings, [*names, *sorted(used)], ", ".join(path.name for path in paths[:3]), used)
    return table_of(settings, split, classes, annotated)


def _files(root: Path) -> list[Path]:
    found = files_ending(root, ".xml") + files_ending(root / "annotations", ".xml")
    return [path for path in found if b"<annotations" in read_start(path, _START_BYTES)]


def _annotated(element: ET.Element, path: Path, labels: Sequence[str]) -> Annotated:
    name = element.get("name") or ""
    if not name:
        raise InputError(f"{path}, image {element.get('id')}: it has no name")
    shapes, faults = list[Shape](), list[str]()
    size = None
    try:
        size = _whole(element, "height"), _whole(element, "width")
    except InputError as error:
        faults.append(str(error))
    for at, child in enumerate(element):
        where = f"{child.tag} {at + 1} of image {element.get('id')}"
        try:
            if child.tag != "tag":
                shapes.append(_shape(child, where, labels))
        except InputError as error:
            faults.append(f"{where}: {error}")
    return Annotated((name,), path, tuple(shapes), size, tuple(faults))


def _shape(element: ET.Element, where: str, labels: Sequence[str]) -> Shape:
    if element.tag not in _DRAWN:
        raise InputError(f"a {element.tag} has no area; allowed: {', '.join(_DRAWN)}")
    if not (label := element.get("label")):
        raise InputError("it has no label")
    if labels and label not in labels:
        raise InputError(f"its label {label!r} is not one of the task's: {', '.join(labels)}")
    return Shape(label, where, _DRAWN[element.tag](element))


def _polygon(element: ET.Element) -> Draw:
    return partial(fill_polygon, as_points([pair.split(",") for pair in (element.get("points") or "").split(";")]))


def _box(element: ET.Element) -> Draw:
    left, top, right, bottom = (_number(element, name) for name in ("xtl", "ytl", "xbr", "ybr"))
    if not (turn := _number(element, "rotation", 0)):
        return partial(fill_box, (left, top, right, bottom))
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    return partial(fill_polygon, turn_about(corners, ((left + right) / 2, (top + bottom) / 2), turn))


def _ellipse(element: ET.Element) -> Draw:
    x, y, across, down = (_number(element, name) for name in ("cx", "cy", "rx", "ry"))
    turn = _number(element, "rotation", 0)
    return lambda height, width: fill_ellipse((x, y), (across, down), height, width, turn)


def _mask(element: ET.Element) -> Draw:
    """Run lengths along the rows of the box that they lie in; off pixels first."""
    left, top, across, down = (_whole(element, name) for name in ("left", "top", "width", "height"))
    words = (element.get("rle") or "").split(",")
    if not all(word.strip().isascii() and word.strip().isdigit() and len(word) < 18 for word in words):
        raise InputError("`rle` should be whole numbers with commas between")
    counts = [int(word) for word in words]

    def draw(height: int, width: int) -> np.ndarray:
        if left + across > width or top + down > height:
            raise InputError(f"its box ends at ({left + across}, {top + down}), outside the image")
        mask_hw = np.zeros((height, width), np.uint8)
        mask_hw[top : top + down, left : left + across] = mask_of_counts(counts, down, across, by_column=False)
        return mask_hw

    return draw


_DRAWN: dict[str, Callable[[ET.Element], Draw]] = {
    "polygon": _polygon,
    "box": _box,
    "ellipse": _ellipse,
    "mask": _mask,
}


def _number(element: ET.Element, name: str, default: float | None = None) -> float:
    text = element.get(name)
    if text is None and default is not None:
        return default
    try:
        number = float(text or "")
    except ValueError as error:
        raise InputError(f"`{name}` should be a number, not {text!r}") from error
    if not abs(number) < 1e9:
        raise InputError(f"`{name}` is {text}, far beyond any image")
    return number


def _whole(element: ET.Element, name: str) -> int:
    number = _number(element, name)
    if number < 0 or number != int(number):
        raise InputError(f"`{name}` should be a whole number of 0 or more, not {element.get(name)!r}")
    return int(number)


def write_cvat(folder: Path, images: Iterable[Exported], class_names: Sequence[str], wish: Wish) -> None:
    """annotations.xml: a mask a region, or polygons where wished; a model's score is an attribute of that name."""
    document = ET.Element("annotations")
    ET.SubElement(document, "version").text = "1.1"
    labels = ET.SubElement(ET.SubElement(ET.SubElement(document, "meta"), "task"), "labels")
    for name in class_names:
        _add_label(labels, name, wish)
    for at, image in enumerate(images):
        height, width = image.size
        about = {"id": str(at), "name": image.image_id, "width": str(width), "height": str(height)}
        element = ET.SubElement(document, "image", about)
        for region in image.regions():
            for child in _elements(region, class_names[region.class_index], wish):
                element.append(child)
    ET.indent(document)
    text = ET.tostring(document, encoding="unicode")
    write_text(folder / "annotations.xml", f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n')


def _add_label(labels: ET.Element, name: str, wish: Wish) -> None:
    label = ET.SubElement(labels, "label")
    ET.SubElement(label, "name").text = name
    attributes = ET.SubElement(label, "attributes")
    if wish.predicted:
        attribute = ET.SubElement(attributes, "attribute")
        for key, value in {"name": "score", "mutable": "False", "input_type": "text", "default_value": ""}.items():
            ET.SubElement(attribute, key).text = value


def _elements(region: Region, label: str, wish: Wish) -> list[ET.Element]:
    known = {"label": label, "source": "auto" if wish.predicted else "manual", "occluded": "0", "z_order": "0"}
    if wish.tolerance is None:
        left, top, width, height = region.box
        counts = counts_of_mask(region.mask_hw[top : top + height, left : left + width], by_column=False)
        box = {"left": left, "top": top, "width": width, "height": height}
        own = {"rle": ", ".join(map(str, counts))} | {name: str(value) for name, value in box.items()}
        found = [ET.Element("mask", known | own)]
    else:
        lines = [";".join(f"{x:.2f},{y:.2f}" for x, y in ring.tolist()) for ring in region.rings(wish.tolerance)]
        found = [ET.Element("polygon", known | {"points": line}) for line in lines]
    if region.score is not None:
        for element in found:
            ET.SubElement(element, "attribute", {"name": "score"}).text = f"{region.score:.4f}"
    return found
