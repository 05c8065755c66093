"""Answers that people judged, as a data set that `sever train` reads: images, run lengths, classes, groups by coil.

Images are the originals, byte for byte; raw pixels become PNG, which loses nothing. Of several judged answers to one
image the one judged last counts.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from sqlalchemy import Connection, select

from sever.config import MAX_PIXELS
from sever.counted import counted
from sever.data.run_table import write_run_table
from sever.data.severstal import LABELS_FILE, TRAIN_FOLDER
from sever.deliver.serve.storage import tables
from sever.deliver.serve.storage.pictures import DamagedImage
from sever.deliver.serve.storage.store import Store
from sever.deliver.serve.uploads import decode, raw_shape_of
from sever.errors import InputError
from sever.files import new_folder, raise_unless_new
from sever.locks import writes_to

LOGGER = logging.getLogger("sever.serve")
GROUPS_FILE, CLASSES_FILE = "groups.csv", "classes.txt"
SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png", "image/tiff": ".tif", "image/bmp": ".bmp", "image/webp": ".webp"}
NAME_DIGITS = 24


@dataclass(frozen=True)
class Judged:
    """An image with what a person says of it, and the newest answer that is about."""

    uid: str
    sha256: str
    kind: str
    coil: str | None
    masks: list[dict[str, str]]


@writes_to("output", whole=True)
def export(store: Store, output: Path) -> tuple[int, int]:
    """Write the data set into a new folder; returns the number of images, and of those whose image is kept no longer.

    Raises InputError for a folder that is in use, and where nobody judged anything yet.
    """
    raise_unless_new(output)
    judged = store.read(lambda connection: list(read_judged(connection)))
    if not judged:
        raise InputError("nobody accepted, rejected or corrected an answer yet, so there is nothing to train on")
    names = _class_names(judged)
    with new_folder(output) as folder:
        (folder / TRAIN_FOLDER).mkdir()
        written = {name: each for each in judged if (name := _write_image(store, each, folder)) is not None}
        if not written:
            raise InputError(
                f"none of the {counted(len(judged), 'image')} that people judged is at {store.pictures.where}; say in "
                "the service's settings (-c, `images`) where they are"
            )
        rows = [(name, [mask["runs"] for mask in each.masks]) for name, each in sorted(written.items())]
        with (folder / LABELS_FILE).open("w", newline="", encoding="utf-8") as file:
            write_run_table(file, rows, "combined")
        groups = [(name, each.coil or "") for name, each in sorted(written.items())]
        with (folder / GROUPS_FILE).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([("image", "group"), *groups])
        (folder / CLASSES_FILE).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return len(written), len(judged) - len(written)


def read_judged(connection: Connection) -> Iterator[Judged]:
    answers, images, corrections = tables.answers, tables.images, tables.corrections
    newest = (corrections.c.answer == answers.c.id) & (corrections.c.version == answers.c.version)
    rows = (
        select(answers.c.uid, answers.c.image, images.c.kind, answers.c.coil, corrections.c.masks)
        .select_from(answers.join(images).join(corrections, newest))
        .order_by(corrections.c.id)
    )
    last: dict[str, Any] = {}
    for row in connection.execute(rows).mappings():
        last[row["image"]] = row
    for row in last.values():
        yield Judged(row["uid"], row["image"], row["kind"], row["coil"], row["masks"])


def _class_names(judged: list[Judged]) -> list[str]:
    found = {tuple(mask["class"] for mask in each.masks) for each in judged}
    if len(found) > 1:
        raise InputError(f"the judged answers are of models with different classes: {sorted(found)}")
    return list(found.pop())


def _write_image(store: Store, judged: Judged, folder: Path) -> str | None:
    try:
        data = store.pictures.read(judged.sha256)
    except DamagedImage as error:
        LOGGER.warning("%s; it is left out", error)
        return None
    if data is None:
        return None
    raw = raw_shape_of(judged.kind)
    name = judged.sha256[:NAME_DIGITS] + (".png" if raw else SUFFIXES.get(judged.kind, ".png"))
    path = folder / TRAIN_FOLDER / name
    if raw is None:
        path.write_bytes(data)
    else:
        good, png = cv2.imencode(".png", decode(data, name, MAX_PIXELS, raw))
        assert good, name
        path.write_bytes(png.tobytes())
    return name
