"""YOLO's segmentation text: data.yaml, images/ and labels/ with a line a polygon, in shares of width and height."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml

from sever.config import DataSettings
from sever.data.class_names import CLASSES_FILE, stated_class_names
from sever.data.faults import Skipped
from sever.data.formats.annotations import Annotated, Shape, labels_of, table_of
from sever.data.formats.classes import Classes, classes_of
from sever.data.formats.export import Exported, Wish
from sever.data.formats.files import files_ending, folders_below
from sever.data.formats.geometry import as_points, fill_polygon
from sever.data.images import list_images
from sever.data.listing import table_of_paths
from sever.data.table import ImageTable
from sever.errors import InputError
from sever.files import write_text
from sever.names import inside
from sever.reading import MIB, read_text, read_yaml

YAML_FILES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_IMAGES, _LABELS = "images", "labels"
_MOST_BYTES = 64 * MIB
# Text that labelling tools leave among the labels.
_NO_LABELS = (CLASSES_FILE, "obj.names", "train.txt", "val.txt", "test.txt")


def looks_like_yolo(root: Path) -> bool:
    """Whether there is a data.yaml, or a folder of labels as text."""
    folders = [root / _LABELS, *root.glob(f"*/{_LABELS}"), *root.glob(f"{_LABELS}/*")]
    return _yaml_file(root) is not None or any(files_ending(folder, ".txt") for folder in folders)


def read_yolo(settings: DataSettings, split: str) -> tuple[ImageTable, list[Skipped]]:
    """Each image with the lines of its text file; an empty file: clean."""
    root = settings.root
    numbered = _classes(settings)
    images = _images(root)
    annotated, used = list[Annotated](), set[Path]()
    for image_id in images.image_ids:
        path = _label_path(settings, image_id)
        if path.is_file():
            annotated.append(_annotated(image_id, path, numbered, settings))
            used.add(path)
    annotated += [
        _annotated(name, path, numbered, settings) for path, name in _label_files(settings) if path not in used
    ]
    classes = classes_of(settings, numbered.names, numbered.source, labels_of(annotated))
    return table_of(settings, split, classes, annotated, images)


def _yaml_file(root: Path) -> Path | None:
    return next((root / name for name in YAML_FILES if (root / name).is_file()), None)


def _classes(settings: DataSettings) -> Classes:
    path = _yaml_file(settings.root)
    stated = stated_class_names(settings.root, settings.num_classes)
    if path is None:
        if stated is None:
            others = sorted(path.name for path in settings.root.glob("*.y*ml"))
            other = f"; is it {others[0]}? Then rename it to data.yaml" if others else "; write one"
            raise InputError(f"{settings.root} has neither data.yaml nor {CLASSES_FILE} to name the classes{other}")
        return Classes(*stated)
    names = _names(read_yaml(path), path)
    if stated is not None and (len(stated[0]) != len(names) or (stated[1] == CLASSES_FILE and stated[0] != names)):
        theirs, ours = ", ".join(stated[0]), ", ".join(names)
        raise InputError(f"{path} names the classes {ours}, but by {stated[1]} they are {theirs}; mend one of them")
    return Classes(names, str(path))


def _names(content: dict[str, Any], path: Path) -> tuple[str, ...]:
    """A list, or a table from number to name without a gap."""
    names = content.get("names")
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names or not all(isinstance(name, (str, int)) for name in names):
        raise InputError(f"{path}: `names` should list the classes, or number them from 0 without a gap")
    if content.get("nc") not in (None, len(names)):
        raise InputError(f"{path}: `nc` is {content['nc']}, but `names` has {len(names)}; mend one of them")
    texts = tuple(map(str, names))
    if len(set(texts)) < len(texts):
        raise InputError(f"{path}: `names` has a name twice; each class needs its own")
    return texts


def _images(root: Path) -> ImageTable:
    """All images below the folders called images: images/ and images/train/, or train/images/ as Roboflow has it.

    Ids leave that folder out: train/x.jpg either way.
    """
    found = {}
    for path in list_images(root):
        parts = path.relative_to(root).parts
        if _IMAGES in parts[:-1]:
            at = parts.index(_IMAGES)
            found["/".join(parts[:at] + parts[at + 1 :])] = path
    if not found:
        raise InputError(f"{root} has no folder {_IMAGES} with images (images/, images/train/ or train/images/)")
    return table_of_paths(found)


def _label_path(settings: DataSettings, image_id: str) -> Path:
    name = PurePosixPath(image_id).with_suffix(".txt")
    if settings.labels is not None:
        return settings.labels / name
    roots = (settings.root / _LABELS / name, settings.root.joinpath(*name.parts[:-1], _LABELS, name.name))
    return next((path for path in roots if path.is_file()), roots[0])


def _label_files(settings: DataSettings) -> Iterator[tuple[Path, str]]:
    """Every text file of labels, and the name that its image should have, but for the suffix."""
    roots = [settings.labels] if settings.labels is not None else folders_below(settings.root, _LABELS)
    for root in roots:
        above = root.parent.relative_to(settings.root) if settings.labels is None else Path()
        for path in files_ending(root, ".txt", deep=True):
            if path.name.lower() not in _NO_LABELS:
                yield path, (above / path.relative_to(root)).with_suffix("").as_posix()


def _annotated(image_id: str, path: Path, classes: Classes, settings: DataSettings) -> Annotated:
    shapes, faults = [], []
    try:
        lines = read_text(path, _MOST_BYTES).splitlines()
    except InputError as error:
        return Annotated((image_id,), path, faults=(str(error),))
    for number, line in enumerate(lines, start=1):
        try:
            if line.strip():
                shapes.append(_shape(line.split(), number, classes, settings))
        except InputError as error:
            faults.append(f"row {number}: {error}")
    return Annotated((image_id,), path, tuple(shapes), None, tuple(faults))


def _shape(words: Sequence[str], row: int, classes: Classes, settings: DataSettings) -> Shape:
    if not words[0].isascii() or not words[0].isdigit() or len(words[0]) > 9 or int(words[0]) >= len(classes.names):
        raise InputError(
            f"{words[0]!r} is not a class; by {classes.source} the classes are 0..{len(classes.names) - 1}"
        )
    try:
        shares = [float(word) for word in words[1:]]
    except ValueError as error:
        raise InputError(f"not all words are numbers: {' '.join(words)[:60]}") from error
    if len(shares) == 4:
        shares = _box(shares, settings)
    if any(not -1e-3 <= share <= 1 + 1e-3 for share in shares):
        raise InputError("a coordinate is not a share of the image's width or height, from 0 to 1")
    return Shape(classes.names[int(words[0])], f"row {row}", _drawing(as_points(shares)))


def _box(shares: list[float], settings: DataSettings) -> list[float]:
    if settings.boxes == "error":
        raise InputError("it is a box, not a polygon; set data.boxes: fill if the whole box is the defect")
    x, y, width, height = shares
    left, top, right, bottom = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    return [left, top, right, top, right, bottom, left, bottom]


def _drawing(points: np.ndarray) -> Callable[[int, int], np.ndarray]:
    return lambda height, width: fill_polygon(points * (width, height), height, width)


def write_yolo(folder: Path, images: Iterable[Exported], class_names: Sequence[str], wish: Wish) -> None:
    """labels/x.txt with a line a polygon, empty where clean, and data.yaml. The form has no place for scores."""
    for image in images:
        scale = np.array([image.size[1], image.size[0]])
        lines = [
            " ".join([str(region.class_index), *(f"{share:.9g}" for share in (ring / scale).ravel().tolist())])
            for region in image.regions()
            for ring in region.rings(wish.tolerance or 0.0)
        ]
        path = inside(folder / _LABELS, image.image_id, "image id").with_suffix(".txt")
        if path.exists():
            raise InputError(f"YOLO has one file for images that differ in their suffix alone: {image.image_id}")
        write_text(path, "".join(f"{line}\n" for line in lines))
    content = {"path": ".", "train": _IMAGES, "val": _IMAGES, "names": dict(enumerate(class_names))}
    write_text(folder / YAML_FILES[0], yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
