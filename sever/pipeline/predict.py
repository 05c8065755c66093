"""`sever predict`: images through the Inspector into probability maps, a submission and a picture; resumable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sever.config import DataSettings
from sever.data import rle
from sever.data.layouts import Skipped, read_images, read_table
from sever.data.table import ImageTable
from sever.decide.inspector import Inspector
from sever.decide.postprocess import quantise
from sever.deliver.pictures import Sample, picture_sheet
from sever.deliver.submission import write_submission
from sever.errors import InputError
from sever.files import write_json
from sever.pipeline.inspection import How, LoadedRun, image_reader, inspect_table, load_run
from sever.pipeline.progress import meter
from sever.pipeline.skipped import report_skipped
from sever.pipeline.streams import read_ahead
from sever.store import ProbabilityStore, fingerprint, read_json


@dataclass(frozen=True)
class Source:
    """Which images: a plain folder, or a part of a data set in a known layout."""

    images: Path | None
    data: Path | None
    split: str = "test"
    include: tuple[str, ...] = ()
    skip_bad: bool = False

    def read(self, loaded: LoadedRun) -> tuple[ImageTable, list[Skipped]]:
        if (self.images is None) == (self.data is None):
            raise InputError("give either --images FOLDER or --data ROOT")
        if self.images is not None:
            table, skipped = read_images(self.images, loaded.facts.class_names, self.skip_bad)
            return table.include(self.include), skipped
        assert self.data is not None
        settings = DataSettings(
            root=self.data,
            include=self.include,
            skip_bad=self.skip_bad,
            num_classes=loaded.facts.num_classes,
            significant_bits=loaded.config.data.significant_bits,
        )
        return read_table(settings, self.split)


@dataclass(frozen=True)
class Prediction:
    """What `predict` left on disk, and how often it found each class (images)."""

    folder: Path
    images: int
    found_per_class: dict[str, int]

    def __str__(self) -> str:
        found = ", ".join(f"{name}: {count}" for name, count in self.found_per_class.items())
        return f"{self.images} images; images with class {found}\n{self.folder / 'submission.csv'}"


def predict_images(
    run: Path,
    source: Source,
    output: Path,
    form: str,
    how: How,
    sheet_images: int = 0,
    overwrite: bool = False,
) -> Prediction:
    """Predict every image of `source`; what an interrupted prediction left in `output` is not predicted again."""
    loaded = load_run(run, how)
    table, skipped = source.read(loaded)
    report_skipped(skipped, output / "skipped.csv")
    maps = ProbabilityStore(output / "probs")
    _claim(output, _manifest(loaded), overwrite)
    _fill(maps, loaded, table)
    found = np.zeros(loaded.facts.num_classes, dtype=np.int64)
    areas: dict[str, int] = {}

    def rows() -> Iterator[tuple[str, list[str]]]:
        for image_id, masks_chw in _masks(maps, loaded.inspector, table):
            found[:] += masks_chw.any(axis=(1, 2))
            areas[image_id] = int(masks_chw.sum())
            yield image_id, rle.encode_masks(masks_chw)

    write_submission(output / "submission.csv", rows(), form)
    if sheet_images:
        most = sorted((area, image_id) for image_id, area in areas.items() if area)[::-1][:sheet_images]
        _draw(output / "sheet.png", maps, loaded, table.select(image_id for _, image_id in most))
    counts = {name: int(count) for name, count in zip(loaded.facts.class_names, found, strict=True)}
    return Prediction(output, len(table), counts)


def _manifest(loaded: LoadedRun) -> dict[str, Any]:
    """What the maps in an output folder depend on; the rules are applied afterwards, so they are not part of it."""
    settings = loaded.config.predict.model_dump(mode="json", exclude={"batch_size"})
    return {
        "checkpoint_sha256": fingerprint(loaded.checkpoint),
        "precision": loaded.config.train.precision,
        "predict": settings,
    }


def _claim(output: Path, manifest: dict[str, Any], overwrite: bool) -> None:
    """Make sure that the maps already in the folder are ours, or none are there."""
    file = output / "predict.json"
    if file.exists() and not overwrite:
        if read_json(file) != manifest:
            raise InputError(
                f"{output} holds the maps of another checkpoint or other settings ({file}); "
                "give another -o, or --overwrite to replace them"
            )
        return
    if overwrite:
        for image_id in ProbabilityStore(output / "probs"):
            ProbabilityStore(output / "probs").path(image_id).unlink()
    write_json(file, manifest)


def _fill(maps: ProbabilityStore, loaded: LoadedRun, table: ImageTable) -> None:
    todo = table.take([row for row, image_id in enumerate(table.image_ids) if image_id not in maps])
    read = image_reader(loaded.config, loaded.facts)
    with meter("predict", len(table), done=len(table) - len(todo)) as progress:
        for seen in inspect_table(loaded.inspector, todo, read, loaded.config.predict.batch_size):
            maps.write(todo.image_ids[seen.row], quantise(seen.inspection.probs_chw))
            progress.advance()


def _masks(maps: ProbabilityStore, inspector: Inspector, table: ImageTable) -> Iterator[tuple[str, np.ndarray]]:
    classes = len(inspector.min_pixels)

    def read(image_id: str) -> tuple[str, np.ndarray]:
        return image_id, inspector.masks(maps.read(image_id, classes))

    return read_ahead(read, table.image_ids, depth=8)


def _draw(path: Path, maps: ProbabilityStore, loaded: LoadedRun, table: ImageTable) -> None:
    read = image_reader(loaded.config, loaded.facts)
    samples = [
        Sample(image_id, read(table.path(row)), None, masks_chw)
        for row, (image_id, masks_chw) in enumerate(_masks(maps, loaded.inspector, table))
    ]
    if samples:
        picture_sheet(path, samples, loaded.facts.class_names)
