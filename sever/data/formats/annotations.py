"""What an annotation file says, whatever its format, becomes the table of images; knows no format from inside.

A format's file turns its text into `Annotated` images with `Shape`s; here they are matched with the images that are
there, drawn, and every fault is told with its file and place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from sever.config import DataSettings
from sever.data import rle
from sever.data.bad_rows import unlabelled_in_doubt
from sever.data.faults import Skipped, raise_unless, without_images
from sever.data.formats.classes import Classes
from sever.data.listing import in_threads, leave_out, list_table, measure, with_runs, without_labels
from sever.data.table import ImageTable
from sever.errors import InputError
from sever.near_names import NearNames

IMAGE_FOLDER = "images"


@dataclass(frozen=True)
class Shape:
    """One thing that somebody marked: its class, where the file has it, and its pixels (H, W) of 0 and 1."""

    label: str
    where: str
    draw: Callable[[int, int], np.ndarray]


@dataclass(frozen=True)
class Annotated:
    """One image as an annotation file names it; the first of `names` that is there counts.

    `size`: height and width by the file, where it gives them. `faults`: what can't be understood of its annotations.
    """

    names: tuple[str, ...]
    source: Path
    shapes: tuple[Shape, ...] = ()
    size: tuple[int, int] | None = None
    faults: tuple[str, ...] = ()


@dataclass
class Matched:
    """Annotated images by the id of the image that is there, and what is wrong."""

    by_id: dict[str, Annotated] = field(default_factory=dict)
    faults: list[Skipped] = field(default_factory=list)


def image_base(root: Path) -> Path:
    """images/ where there is one, else the whole folder: image ids are paths below it."""
    return root / IMAGE_FOLDER if (root / IMAGE_FOLDER).is_dir() else root


def table_of(
    settings: DataSettings,
    split: str,
    classes: Classes,
    annotated: Sequence[Annotated],
    images: ImageTable | None = None,
) -> tuple[ImageTable, list[Skipped]]:
    """The images with their labels, and what was left out where settings.skip_bad allows it.

    For split "test" without labels. `images`: the images there, by default all below `image_base`. An image that no
    file annotates is a fault, or clean, as settings.missing_mask says. Raises InputError for every other fault.
    """
    everything = images or list_table(image_base(settings.root))
    chosen = everything.include(settings.include)
    if split == "test":
        table, faults = measure(chosen, settings.max_pixels)
        raise_unless(settings.skip_bad, faults, settings.root)
        return leave_out(without_labels(table, classes.names), faults), faults
    matched = match(annotated, everything.image_ids)
    excluded = set(everything.image_ids) - set(chosen.image_ids)
    faults = without_images(matched.faults, excluded)
    faults += _unannotated(settings, chosen.image_ids, matched, annotated)
    raise_unless(settings.skip_bad, faults, settings.root)
    table, unreadable = measure(leave_out(chosen, faults), settings.max_pixels)
    raise_unless(settings.skip_bad, unreadable, settings.root)
    labelled, bad = _draw_all(table, matched.by_id, classes)
    raise_unless(settings.skip_bad, bad, settings.root)
    faults += unreadable + bad
    return leave_out(labelled, faults), faults


def labels_of(annotated: Sequence[Annotated]) -> set[str]:
    """The labels that mark anything."""
    return {shape.label for entry in annotated for shape in entry.shapes}


def labels_or_fault(annotated: Sequence[Annotated]) -> set[str]:
    """The same; raises InputError where there is none because nothing could be understood."""
    found, bad = labels_of(annotated), next((entry for entry in annotated if entry.faults), None)
    if not found and bad:
        raise InputError(f"image {bad.names[0]}: {bad.source}, {bad.faults[0]}")
    return found


def match(annotated: Iterable[Annotated], image_ids: Sequence[str]) -> Matched:
    """Which image each entry means: by its path below the images, or by a file name that only one image has."""
    found, near = Matched(), NearNames(image_ids)
    by_name: dict[str, list[str]] = defaultdict(list)
    for image_id in image_ids:
        by_name[PurePosixPath(image_id).name].append(image_id)
    there = set(image_ids)
    for entry in annotated:
        candidates = _candidates(entry, there, by_name)
        if len(candidates) == 1 and candidates[0] not in found.by_id:
            found.by_id[candidates[0]] = entry
            continue
        name = entry.names[0]
        if not candidates:
            reason = f"{entry.source} annotates it, but this image is missing{near.hint(name)}"
            found.faults.append(Skipped(name, None, reason, may_mean=tuple(near.find(name))))
        elif len(candidates) > 1:
            reason = f"{entry.source} annotates it, but it may be {' or '.join(candidates[:3])}; write its path there"
            found.faults.append(Skipped(name, None, reason, may_mean=tuple(candidates)))
        else:
            first = found.by_id[candidates[0]].source
            beside = "twice" if first == entry.source else f", and so does {first}"
            reason = f"{entry.source} annotates it {beside}; keep one of them, or name the right file in data.labels"
            found.faults.append(Skipped(candidates[0], None, reason.replace("it ,", "it,")))
    return found


def ids_beside(folder: Path, base: Path, name: str) -> tuple[str, ...]:
    """The names that an image has which stands beside its annotation file in `folder`: its path below `base`."""
    if not folder.is_relative_to(base):
        return (name,)
    path = PurePosixPath(folder.relative_to(base).as_posix()) / name
    return (str(path), name)


def _candidates(entry: Annotated, there: set[str], by_name: Mapping[str, list[str]]) -> list[str]:
    for name in entry.names:
        plain = name.replace("\\", "/")
        if plain in there:
            return [plain]
    for name in entry.names:
        if found := by_name.get(PurePosixPath(name.replace("\\", "/")).name):
            return found
    return []


def _unannotated(
    settings: DataSettings, image_ids: Sequence[str], matched: Matched, annotated: Sequence[Annotated]
) -> list[Skipped]:
    if settings.missing_mask == "clean":
        empty = {entry.names[0] for entry in annotated if not entry.shapes and not entry.faults}
        stated = [fault for fault in matched.faults if fault.image_id not in empty]
        return unlabelled_in_doubt(stated, [image_id for image_id in image_ids if image_id not in matched.by_id])
    reason = "no label file mentions it; if such images are clean, set data.missing_mask: clean"
    named = {image_id for fault in matched.faults for image_id in fault.images}
    missing = [image_id for image_id in image_ids if image_id not in matched.by_id and image_id not in named]
    return [Skipped(image_id, None, reason) for image_id in missing]


def _draw_all(table: ImageTable, by_id: Mapping[str, Annotated], classes: Classes) -> tuple[ImageTable, list[Skipped]]:
    def draw(row: int) -> list[str] | str:
        entry = by_id.get(table.image_id(row))
        return [""] * len(classes.names) if entry is None else _draw(entry, table.size(row), classes)

    answers = in_threads(draw, range(len(table)))
    faults = [
        Skipped(table.image_id(row), None, answer) for row, answer in enumerate(answers) if isinstance(answer, str)
    ]
    good = [row for row, answer in enumerate(answers) if not isinstance(answer, str)]
    columns = [[answers[row][index] for row in good] for index in range(len(classes.names))]
    return with_runs(table.take(good), columns, classes.names), faults


def _draw(entry: Annotated, size: tuple[int, int], classes: Classes) -> list[str] | str:
    """The run lengths of each class, or what is wrong with the annotations of this image."""
    if entry.faults:
        more = f" (and {len(entry.faults) - 1} more)" if len(entry.faults) > 1 else ""
        return f"{entry.source}, {entry.faults[0]}{more}"
    if entry.size is not None and entry.size != size:
        return (
            f"{entry.source} says it is {entry.size[1]} x {entry.size[0]} pixels (width x height), but the image is "
            f"{size[1]} x {size[0]}"
        )
    masks: dict[int, np.ndarray] = {}
    for shape in entry.shapes:
        try:
            index = classes.index(shape.label)
            mask_hw = shape.draw(*size)
        except InputError as error:
            return f"{entry.source}, {shape.where}: {error}"
        if not mask_hw.any():
            return f"{entry.source}, {shape.where}: it covers no pixel of the image"
        masks[index] = masks[index] | mask_hw if index in masks else mask_hw
    return [rle.encode(masks[index]) if index in masks else "" for index in range(len(classes.names))]


def field_of(record: Any, name: str, kind: type | tuple[type, ...], where: str) -> Any:
    """record[name] of the right type. Raises InputError with the place otherwise."""
    if not isinstance(record, dict):
        raise InputError(f"{where} is not an object with names and values")
    value = record.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        wanted = " or ".join(each.__name__ for each in (kind if isinstance(kind, tuple) else (kind,)))
        raise InputError(f"{where}: `{name}` should be {_WORDS.get(wanted, wanted)}, not {_shown(value)}")
    return value


_WORDS = {"str": "text", "list": "a list", "dict": "an object", "int": "a whole number", "int or float": "a number"}


def _shown(value: object) -> str:
    text = repr(value)
    return "missing" if value is None else text if len(text) <= 40 else f"{text[:37]}..."
