"""The competition's CSV, written and read; knows no images, networks or scores.

Two forms: "combined" has a row for every pair (`ImageId_ClassId,EncodedPixels`, empty where there is no
defect), the later "separate" rows for defects only (`ImageId,ClassId,EncodedPixels`). Classes are 1..C there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sever.counted import counted
from sever.data.run_table import (
    ImageRuns,
    find_class_faults,
    find_run_faults,
    names_every_pair,
    read_run_table,
    write_run_table,
)
from sever.errors import InputError
from sever.near_names import NearNames
from sever.seals import sealed_path

SHOWN = 3  # how many of many faults an error spells out
# For run lengths of an image whose size is not known; everything but their end can still be checked.
ANY_SIZE = 10**17


def write_submission(path: Path, rows: Iterable[ImageRuns], form: str = "combined") -> int:
    """Write image after image, and let the file appear only once it is whole; returns how many images.

    Raises InputError for an unknown form.
    """
    with sealed_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        return write_run_table(file, rows, form)


def read_submission(
    path: Path, image_ids: Sequence[str], num_classes: int, pixels: Mapping[str, int] | None = None
) -> dict[str, list[str]]:
    """The run lengths of every image's classes, "" where absent, from a CSV in either form.

    In the separate form, an image without rows has no defect; in the combined form every pair needs its row. `pixels`
    is height times width by image; with it, runs that end outside their image are refused here. Raises InputError for
    rows that are missing, unknown, double or wrong.
    """
    rows = read_run_table(path)
    known = set(image_ids)
    unknown, near = dict.fromkeys(name for name in rows["image_id"] if name not in known), NearNames(image_ids)
    refuse(path, "image", "not among the images to score", [f"{name}{near.hint(name)}" for name in unknown])
    refuse(path, "row", "of a class that does not exist", find_class_faults(rows, num_classes, "the labels"))
    sizes = pixels if pixels is not None else dict.fromkeys(known, ANY_SIZE)
    refuse(path, "row", "with wrong run lengths", find_run_faults(rows, sizes))

    runs = {image_id: [""] * num_classes for image_id in image_ids}
    missing = {(image_id, index) for image_id in image_ids for index in range(num_classes)}
    for image_id, index, text in zip(rows["image_id"], rows["class_index"], rows["runs"], strict=True):
        runs[image_id][index] = text
        missing.discard((image_id, index))
    if names_every_pair(path):
        absent = [f"{image_id}_{index + 1}" for image_id, index in sorted(missing)]
        refuse(path, "row", "missing (empty ones too are needed in this form)", absent)
    return runs


def refuse(path: Path, noun: str, what: str, faults: Sequence[object]) -> None:
    """Raise InputError with the number of faults and the first few, if there are any."""
    if faults:
        first = "; ".join(str(fault) for fault in faults[:SHOWN])
        more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise InputError(f"{path} has {counted(len(faults), noun)} {what}: {first}{more}")
