"""Label Studio's "Brush labels to PNG": task-1-annotation-2-by-NAME-tag-CLASS-0.png, which name no image.

Which image a task has is in the project's JSON, which has to lie beside: any of its exports will do.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sever.config import DataSettings
from sever.data.class_names import stated_class_names
from sever.data.faults import Skipped
from sever.data.formats.annotations import Annotated, Shape, field_of, image_base, labels_or_fault, table_of
from sever.data.formats.classes import classes_of
from sever.data.formats.files import files_below
from sever.data.formats.label_studio import image_names, marks_area, task_files, tasks_of, was_judged
from sever.data.images import list_images
from sever.data.listing import table_of_paths
from sever.data.mask_pixels import read_codes
from sever.data.table import ImageTable
from sever.errors import InputError

# The name of a person holds no dash; that of the labelling tag seldom does.
_NAME = re.compile(r"task-([0-9]+)-annotation-([0-9]+)-by-([^-]*)-(.+)-([0-9]+)\.png", re.IGNORECASE)


def looks_like_label_studio_png(root: Path) -> bool:
    return any(_NAME.fullmatch(path.name) for path in files_below(root))


def read_label_studio_png(settings: DataSettings, split: str) -> tuple[ImageTable, list[Skipped]]:
    """The images of the tasks that have masks, and those of tasks that were answered without any region: clean."""
    root = settings.root
    tasks = {
        field_of(task, "id", int, f"{path}, {where}"): (path, where, task)
        for path in _task_files(root)
        for where, task in tasks_of(path)
    }
    masks = _masks(settings, stated_class_names(root, None))
    annotated = []
    judged = {number: _judged_results(task) for number, (_, _, task) in tasks.items()}
    for number in sorted({*masks, *(number for number, results in judged.items() if results)}):
        if number not in tasks:
            raise InputError(f"{masks[number][0][1].name}: task {number} is not in the JSON files of {root}")
        path, where, task = tasks[number]
        names = image_names(task, f"{path}, {where}")
        if number not in masks and any(judged[number]):
            lost = f"{where}: it was annotated with regions, but its masks task-{number}-annotation-*.png are missing"
            annotated.append(Annotated(names, path, faults=(lost,)))
        else:
            annotated.append(_annotated(names, masks.get(number, []), path))
    labels = labels_or_fault(annotated)
    classes = classes_of(settings, sorted(labels), "the names of the masks, sorted,", labels)
    base = image_base(root)
    images = {path.relative_to(base).as_posix(): path for path in list_images(base) if not _NAME.fullmatch(path.name)}
    return table_of(settings, split, classes, annotated, table_of_paths(images))


def _task_files(root: Path) -> list[Path]:
    if found := task_files(root):
        return found
    raise InputError(
        f"{root} has masks of Label Studio, whose names give the task but not the image; export the project as JSON "
        "too and put that file beside them"
    )


def _judged_results(task: dict[str, Any]) -> list[Any]:
    """The areas that each person who did not skip the task marked; none of them: the image is clean."""
    found = task.get("annotations")
    judged = [each for each in found if was_judged(each)] if isinstance(found, list) else []
    results = [each["result"] for each in judged if isinstance(each.get("result"), list)]
    return [[region for region in result if marks_area(region)] for result in results]


def _masks(settings: DataSettings, stated: tuple[tuple[str, ...], str] | None) -> dict[int, list[tuple[str, Path]]]:
    """Task -> label and file of each of its masks. Raises InputError where a task has those of several annotations."""
    found, annotation = defaultdict[int, list[tuple[str, Path]]](list), dict[int, str]()
    for path in sorted(files_below(settings.labels or settings.root)):
        if (match := _NAME.fullmatch(path.name)) is None:
            continue
        task = int(match[1])
        if annotation.setdefault(task, match[2]) != match[2]:
            raise InputError(f"{path.name}: task {task} has a second annotation, {annotation[task]}; keep one of them")
        found[task].append((_label(match[4], stated), path))
    return found


def _label(text: str, stated: tuple[tuple[str, ...], str] | None) -> str:
    """CLASS of tag-CLASS: the longest class that it ends in, or what follows the first dash."""
    names = sorted(stated[0] if stated else (), key=len, reverse=True)
    return next((name for name in names if text.endswith(f"-{name}")), text.partition("-")[2] or text)


def _annotated(names: tuple[str, ...], masks: list[tuple[str, Path]], path: Path) -> Annotated:
    return Annotated(names, path, tuple(Shape(label, mask.name, _drawing(mask)) for label, mask in masks))


def _drawing(path: Path) -> Callable[[int, int], np.ndarray]:
    def draw(height: int, width: int) -> np.ndarray:
        codes_hw = read_codes(path)
        if codes_hw.shape != (height, width):
            raise InputError(f"the mask is {codes_hw.shape[1]} x {codes_hw.shape[0]} pixels, not {width} x {height}")
        return (codes_hw != 0).astype(np.uint8)

    return draw
