"""Writes a synthetic data set in the Severstal layout, by all cores, all of it or nothing; draws no pixel itself."""

from __future__ import annotations

import ctypes
import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from sever.data import rle
from sever.data.run_table import FORMS, write_run_table
from sever.data.synthetic import statistics
from sever.data.synthetic.noise import Array
from sever.data.synthetic.strip import HEIGHT, WIDTH, check_size, make_strip
from sever.errors import InputError, worker_died
from sever.files import naming, new_folder
from sever.locks import one_writer_of


@dataclass(frozen=True)
class SynthSettings:
    """What `write_dataset` makes. Raises InputError for a value that makes no sense."""

    train: int = 400  # images with labels in train.csv
    test: int = 100  # images with labels in test_labels.csv
    height: int = HEIGHT  # pixels
    width: int = WIDTH  # pixels
    seed: int = 0
    frequencies: statistics.Frequencies = "real"  # how often classes occur: as in the competition, or about equally
    jpeg_quality: int = 90  # 1..100; the competition's images have 90
    csv_form: Literal["combined", "separate"] = "combined"
    workers: int = 0  # processes; 0 means one for every core

    def __post_init__(self) -> None:
        check_size(self.height, self.width)
        if self.train < 1 or self.test < 1:
            raise InputError(f"train={self.train}, test={self.test}: both numbers of images must be at least 1")
        if not 1 <= self.jpeg_quality <= 100:
            raise InputError(f"jpeg_quality={self.jpeg_quality}: must be in 1..100")
        if self.seed < 0 or self.workers < 0:
            raise InputError(f"seed={self.seed}, workers={self.workers}: neither may be negative")
        if self.csv_form not in FORMS:
            raise InputError(f"csv_form {self.csv_form!r} is unknown; choose one of {', '.join(FORMS)}")
        if self.frequencies not in statistics.TABLES:
            known = ", ".join(statistics.TABLES)
            raise InputError(f"frequencies {self.frequencies!r} is unknown; choose one of {known}")


def image_id(seed: int, index: int) -> str:
    """A name like the competition's: nine hexadecimal digits."""
    return hashlib.sha256(f"strip {seed} {index}".encode()).hexdigest()[:9] + ".jpg"


def write_dataset(root: Path, settings: SynthSettings, progress: Callable[[int], None] | None = None) -> Path:
    """Writes the data set into `root`, which must be absent or empty, and returns it.

    `progress` is told the number of images written so far. Everything is made in a temporary folder beside `root`,
    which takes the name at the end; an interrupted call leaves nothing. Raises InputError for a folder that is in use.
    """
    root = Path(root)
    with one_writer_of(root), new_folder(root) as partial_root:
        _fill(partial_root, settings, progress or (lambda _: None))
    return root


def _fill(root: Path, settings: SynthSettings, progress: Callable[[int], None]) -> None:
    ids = [image_id(settings.seed, index) for index in range(settings.train + settings.test)]
    assert len(set(ids)) == len(ids), "two images share a name"
    for folder in ("train_images", "test_images"):
        (root / folder).mkdir()
    runs: list[list[str]] = []
    for image_runs in _all_runs(root, settings, len(ids)):
        runs.append(image_runs)
        progress(len(runs))
    train, test = ids[: settings.train], ids[settings.train :]
    write_labels(root / "train.csv", train, runs[: settings.train], settings.csv_form)
    write_labels(root / "test_labels.csv", test, runs[settings.train :], settings.csv_form)
    blank = [["1 1"] + [""] * (statistics.NUM_CLASSES - 1)] * len(test)
    # By name, as the competition's own: what `sever predict` writes is in the same order.
    write_labels(root / "sample_submission.csv", sorted(test), blank, settings.csv_form)


def _all_runs(root: Path, settings: SynthSettings, count: int) -> Iterator[list[str]]:
    """The run lengths of every image in order, while its picture is written."""
    job = partial(_write_image, root, settings)
    workers = min(settings.workers or os.cpu_count() or 1, count)
    if workers == 1:
        yield from map(job, range(count))
        return
    # Spawned, not forked: a fork copies the locks of whatever threads the caller's libraries run.
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=prepare_worker) as pool:
        try:
            yield from pool.map(job, range(count), chunksize=max(1, min(8, count // (4 * workers))))
        except BrokenProcessPool as error:
            raise worker_died("a process that draws images", f"use fewer --workers (now {workers})") from error


def prepare_worker() -> None:
    """One thread a process, and memory kept from image to image: giving it back each time costs a third of the time."""
    cv2.setNumThreads(1)
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return  # another C library than glibc; only slower
    for parameter in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
        mallopt(parameter, 1 << 30)


def _write_image(root: Path, settings: SynthSettings, index: int) -> list[str]:
    folder = "train_images" if index < settings.train else "test_images"
    image_hw, masks_chw = draw_image(settings, index)
    write_picture(root / folder / image_id(settings.seed, index), image_hw, settings.jpeg_quality)
    return rle.encode_masks(masks_chw)


def draw_image(settings: SynthSettings, index: int) -> tuple[Array, Array]:
    """Image and masks number `index` of a data set with these settings."""
    if settings.frequencies == "real":
        return make_strip(settings.seed, index, settings.height, settings.width)
    chooser = np.random.default_rng([settings.seed, index]).spawn(1)[0]
    classes = statistics.draw_combination(chooser, settings.frequencies)
    return make_strip(settings.seed, index, settings.height, settings.width, classes)


def write_picture(path: Path, image_hw: Array, quality: int) -> None:
    """A JPEG of three equal channels, as the competition stores grey."""
    colour = cv2.cvtColor(image_hw, cv2.COLOR_GRAY2BGR)
    good, data = cv2.imencode(".jpg", colour, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert good, path
    path.write_bytes(data.tobytes())


def write_labels(path: Path, image_ids: list[str], runs: list[list[str]], form: str) -> None:
    """One of the competition's two CSV forms."""
    # Without a seal: from here on they are a person's labels, who takes rows out and adds others.
    with path.open("w", newline="", encoding="utf-8") as file, naming(path):
        write_run_table(file, zip(image_ids, runs, strict=True), form)
