"""`sever predict`: images through the Inspector into probability maps, a submission and a picture; resumable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
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
from sever.pipeline.inspection import How, LoadedModel, image_reader, inspect_table, load_model
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

    def __post_init__(self) -> None:
        if (self.images is None) == (self.data is None):
            raise InputError("give either --images FOLDER or --data ROOT")

    def describe(self) -> str:
        """The place of the images, whatever folder the command is typed in."""
        return str(self.images.resolve()) if self.images else f"{self.split} of {self.data and self.data.resolve()}"

    def read(self, loaded: LoadedModel) -> tuple[ImageTable, list[Skipped]]:
        if self.images is not None:
            return read_images(self.images, loaded.facts.class_names, self.skip_bad, self.include)
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
    loaded = load_model(run, how)
    table, skipped = source.read(loaded)
    maps = ProbabilityStore(output / "probs")
    _claim(output, _manifest(loaded, source), overwrite)
    for name in ("skipped.csv", "submission.csv", "sheet.png"):  # an earlier prediction's, maybe of other images
        (output / name).unlink(missing_ok=True)
    report_skipped(skipped, output / "skipped.csv")
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


def _manifest(loaded: LoadedModel, source: Source) -> dict[str, Any]:
    """What the maps in an output folder depend on; the rules are applied afterwards, so they are not part of it."""
    settings = loaded.config.predict.model_dump(mode="json", exclude={"batch_size"})
    return {
        "images": source.describe(),
        "checkpoints_sha256": [fingerprint(checkpoint) for checkpoint in loaded.checkpoints],
        "blend": asdict(loaded.inspector.blend),
        "precision": loaded.config.train.precision,
        "predict": settings,
    }


def _claim(output: Path, manifest: dict[str, Any], overwrite: bool) -> None:
    """Make sure that the maps already in the folder are ours, or none are there."""
    if output.exists() and not output.is_dir():
        raise InputError(f"-o {output} is a file; give a folder")
    file = output / "predict.json"
    if file.exists() and not overwrite:
        if read_json(file) != manifest:
            raise InputError(
                f"{output} holds the maps of another checkpoint or other settings, or of other images ({file}); "
                "give another -o, or --overwrite to replace them"
            )
        return
    if overwrite:
        for image_id in ProbabilityStore(output / "probs"):
            ProbabilityStore(output / "probs").path(image_id).unlink()
    write_json(file, manifest)


def _fill(maps: ProbabilityStore, loaded: LoadedModel, table: ImageTable) -> None:
    todo = table.take([row for row, image_id in enumerate(table.image_ids) if image_id not in maps])
    read, image_ids = image_reader(loaded.config, loaded.facts), todo.image_ids
    with meter("predict", len(table), done=len(table) - len(todo)) as progress:
        for seen in inspect_table(loaded.inspector, todo, read, loaded.config.predict.batch_size):
            maps.write(image_ids[seen.row], quantise(seen.inspection.probs_chw))
            progress.advance()


def _masks(maps: ProbabilityStore, inspector: Inspector, table: ImageTable) -> Iterator[tuple[str, np.ndarray]]:
    classes, image_ids = inspector.rules.num_classes, table.image_ids

    def read(row: int) -> tuple[str, np.ndarray]:
        image_id = image_ids[row]
        levels_chw = maps.read(image_id, classes)
        if levels_chw.shape[1:] != table.size(row):
            raise InputError(
                f"map {maps.path(image_id)} is of another size than its image, which must have changed since; "
                "delete the map and predict again, or give --overwrite"
            )
        return image_id, inspector.masks(levels_chw)

    return read_ahead(read, range(len(table)), depth=8)


def _draw(path: Path, maps: ProbabilityStore, loaded: LoadedModel, table: ImageTable) -> None:
    read = image_reader(loaded.config, loaded.facts)
    samples = [
        Sample(image_id, read(table.path(row)), None, masks_chw)
        for row, (image_id, masks_chw) in enumerate(_masks(maps, loaded.inspector, table))
    ]
    if samples:
        picture_sheet(path, samples, loaded.facts.class_names)
