"""`sever predict` of a bundle: each image goes once through reading, network and decisions, and leaves a row.

Resumable; what is left is the same, byte for byte, as by way of stored maps.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numpy as np

from sever.data import rle
from sever.data.table import ImageTable
from sever.deliver.pictures import Sample, picture_sheet
from sever.deliver.submission import write_submission
from sever.output import OutputFolder
from sever.pipeline.image_source import PredictedImages
from sever.pipeline.inference.model import Model
from sever.pipeline.inference.one_pass import OnePass, Row, map_origin
from sever.pipeline.pixel_warnings import warn_of_values
from sever.progress import meter
from sever.store import LabelStore, ProbabilityStore
from sever.store.found import FoundImage, FoundStore
from sever.store.origin import Origin


def predict_in_one_pass(
    home: OutputFolder, model: Model, table: ImageTable, form: str, keep_maps: bool, sheet_images: int
) -> PredictedImages:
    """Predict what is missing, then write the tables and the picture of the images with the largest masks."""
    found = FoundStore(home)
    _fill(home, model, table, found, keep_maps)
    counts = np.zeros(len(model.classes), np.int64)
    largest: list[tuple[int, str]] = []

    def rows() -> Iterator[tuple[str, list[str]]]:
        for each in found.read(table.image_ids):
            counts[:] += [bool(text) for text in each.runs]
            if each.pixels and sheet_images:
                push = heapq.heappushpop if len(largest) == sheet_images else heapq.heappush
                push(largest, (each.pixels, each.image_id))
            yield each.image_id, each.runs

    with home.new("submission.csv") as temporary:
        write_submission(temporary, rows(), form)
    if largest:
        _draw(home, found, model, table.select(image_id for _, image_id in sorted(largest)[::-1]))
    by_name = {name: int(count) for name, count in zip(model.classes, counts, strict=True)}
    return PredictedImages(home.folder, len(table), by_name, home.path("submission.csv"))


def _fill(home: OutputFolder, model: Model, table: ImageTable, found: FoundStore, keep_maps: bool) -> None:
    """Every image's row; with it its map, where maps are kept, and its label, where networks label images."""
    maps, labels = ProbabilityStore(home.folder / "probs", home), LabelStore(home.folder)
    classes = len(model.classes)
    labelled = labels.read_labels(classes) if model.labels_images else {}

    def knows(image_id: str, origin: str) -> bool:
        own = map_origin(model, Origin.parse(origin).image)
        has_map = not keep_maps or maps.holds(image_id, own)
        has_label = not model.labels_images or (image_id in labelled and labelled[image_id].origin == own)
        return found.holds(image_id, origin) and has_map and has_label

    read = model.reader()
    with meter("predict", len(table)) as progress:
        for row in OnePass(model, read, knows, keep_maps).rows(table):
            if row.is_new:
                _keep(row, model, found, maps, labels)
            progress.advance()
    warn_of_values(read, model.facts.mean)
    found.finish(table.image_ids)
    if model.labels_images:
        labels.finish(table.image_ids, classes)


def _keep(row: Row, model: Model, found: FoundStore, maps: ProbabilityStore, labels: LabelStore) -> None:
    """The row last: where it is, all else is."""
    if row.map_file is not None:
        maps.write_encoded(row.image_id, row.map_file)
    if row.label_probs_c is not None:
        labels.add(row.image_id, row.label_probs_c, map_origin(model, Origin.parse(row.origin).image))
    found.add(FoundImage(row.image_id, row.origin, list(row.runs), row.pixels))


def _draw(home: OutputFolder, found: FoundStore, model: Model, table: ImageTable) -> None:
    read, samples = model.reader(), []
    for row, each in enumerate(found.read(table.image_ids)):
        masks_chw = np.stack([rle.decode(text, *table.size(row)) for text in each.runs])
        samples.append(Sample(each.image_id, read(table.path(row)), None, masks_chw))
    with home.new("sheet.png") as temporary:
        picture_sheet(temporary, samples, model.classes)
