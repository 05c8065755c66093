"""`sever data preview`: training images with their labels, and what the network sees of them, for a person to judge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sever.config import ExperimentConfig
from sever.data.dataset import StripDataset
from sever.data.folds import assign_folds, split
from sever.data.layouts import read_table
from sever.data.reader import ImageReader
from sever.data.samplers import SampleKey
from sever.data.table import ImageTable
from sever.decide.metrics import judged
from sever.deliver.preview_sheet import Labelled, Preview, preview_sheet
from sever.locks import writes_to
from sever.output import OutputFolder
from sever.pipeline.skipped import report_skipped
from sever.pipeline.training_images import channels_of, training_dataset
from sever.progress import meter

VARIANTS = 8


@writes_to("output", whole=True)
def preview_data(config: ExperimentConfig, output: Path, count: int, seed: int) -> None:
    """Draw `count` training images, and of each what the first eight epochs make of it. Raises InputError.

    The pixels are those that a network gets, before it normalises them; only padding to its grid is left out.
    """
    table, skipped = read_table(config.data, thorough=False)
    home, left_out = OutputFolder(output.parent), output.with_suffix(".skipped.csv").name
    home.claim([output.name, left_out])
    report_skipped(skipped, home, name=left_out)
    training = table.take(split(table, assign_folds(table, config.folds), config.folds)[0])
    dataset = training_dataset(config, training)
    previews = []
    rows = choose_rows(training, min(count, len(training)), np.random.default_rng(seed))
    with meter("preview", len(rows)) as progress:
        for row in rows:
            previews.append(Preview(_stored(config, training, row), list(_variants(dataset, row))))
            progress.advance()
    with home.new(output.name) as temporary:
        preview_sheet(temporary, previews, training.class_names)


def choose_rows(table: ImageTable, count: int, rng: np.random.Generator) -> list[int]:
    """`count` images: one of each class and a clean one in turn, at random; those that are left where a kind ends."""
    has_class = table.has_class()
    kinds = [has_class[:, index] for index in range(table.num_classes)] + [~has_class.any(axis=1)]
    waiting = [rng.permutation(np.flatnonzero(kind)).tolist() for kind in kinds]
    chosen: list[int] = []
    while len(chosen) < count:
        for rows in waiting:
            row = next((row for row in rows if row not in chosen), None)
            if row is not None and len(chosen) < count:
                chosen.append(row)
    return chosen


def _stored(config: ExperimentConfig, table: ImageTable, row: int) -> Labelled:
    image_hwc = ImageReader.of(config.data, channels_of(config))(table.path(row))
    height, width = table.size(row)
    return Labelled(f"{table.image_id(row)}, {height}x{width}", image_hwc, judged(table.mask(row)))


def _variants(dataset: StripDataset, row: int) -> Iterator[Labelled]:
    for epoch in range(VARIANTS):
        pixels, masks = dataset[SampleKey(epoch, row)]
        yield Labelled(f"epoch {epoch + 1}", pixels.numpy().transpose(1, 2, 0), judged(masks.numpy()))
