"""`sever evaluate`: a submission or a run against labels, as the competition scores it and as an engineer asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sever.config import MAX_PIXELS, DataSettings
from sever.data import rle
from sever.data.layouts import raise_unless_masks, read_again, read_table
from sever.data.reader import ImageReader
from sever.data.table import ImageTable
from sever.decide.label_metrics import LabelSheet
from sever.decide.metrics import ImageScore, ScoreSheet, pair_counts
from sever.deliver.pictures import Sample, picture_sheet
from sever.deliver.submission import read_submission
from sever.errors import InputError
from sever.locks import writes_to
from sever.output import OutputFolder
from sever.pipeline import pixel_warnings
from sever.pipeline.evaluate_labels import RESULTS, evaluate_labels
from sever.pipeline.inference.load import load_model
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.pixel_warnings import warn_of_headers
from sever.progress import meter
from sever.store import Evidence, Run
from sever.store.bundle.container import is_bundle

SHEET_IMAGES = 3

# Image id and predicted masks (C, H, W), in the order of the table.
Predicted = Iterator[tuple[str, np.ndarray]]


@dataclass(frozen=True)
class Truth:
    """Where the labels are: a data set's training images, or its test images with labels of their own."""

    data: Path
    labels: Path | None = None
    include: tuple[str, ...] = ()
    num_classes: int | None = None

    def read(
        self,
        num_classes: int | None = None,
        like: DataSettings | None = None,
        masks: bool = True,
        max_pixels: int = MAX_PIXELS,
        thorough: bool = True,
    ) -> ImageTable:
        """`num_classes`: what is known from elsewhere, since labels may happen to show fewer.

        `like`: the settings of a run, whose values of masks mean the same here. `masks`: whether whole images won't do.
        `thorough`: whether pixels will be needed.
        """
        settings = DataSettings(
            root=self.data,
            include=self.include,
            test_labels=self.labels,
            num_classes=self.num_classes or num_classes,
            max_pixels=max_pixels,
        )
        if like is not None:
            settings = settings.meant_as(like)
        if masks:
            raise_unless_masks(settings)
        return read_table(settings, "train" if self.labels is None else "test", thorough)[0]


@writes_to("output")
def evaluate_submission(
    submission: Path, truth: Truth, output: Path | None = None, max_pixels: int = MAX_PIXELS
) -> dict[str, Any]:
    """Score a CSV in either form. Raises InputError where it doesn't fit the labels."""
    table = truth.read(max_pixels=max_pixels, thorough=False)
    runs = read_submission(submission, table.image_ids, table.num_classes, table.pixels())

    def predicted() -> Predicted:
        for row, image_id in enumerate(table.image_ids):
            height, width = table.size(row)
            yield image_id, np.stack([rle.decode(text, height, width) for text in runs[image_id]])

    return _evaluate(
        table,
        predicted(),
        output,
        {"submission": str(submission), "data": str(truth.data)},
        ImageReader(3, max_pixels=max_pixels),
    )


@writes_to("output")
def evaluate_run(
    run: Path,
    truth: Truth | None,
    output: Path | None,
    how: InferenceOptions,
) -> dict[str, Any]:
    """Predict and score; without `truth` the images that the run itself held out."""
    if truth is None and Evidence.is_at(run):
        raise InputError(f"{run} is several networks as one; give --data, or `sever report` for out-of-fold scores")
    if truth is None and is_bundle(run):
        raise InputError(f"{run} is a bundle, and holds no images; give labelled ones: --data ROOT")
    pixel_warnings.begin()
    loaded = load_model(run, how)
    if truth is None:
        everything = read_again(loaded.config.data, loaded.folder)
        table = everything.select(Run(loaded.folder).part("validation"), loaded.folder)
    else:
        table = truth.read(loaded.facts.num_classes, loaded.config.data, masks=loaded.draws_masks)
    warn_of_headers(table)
    if table.class_names != loaded.facts.class_names:
        raise InputError(
            f"the run knows the classes {', '.join(loaded.facts.class_names)}, "
            f"but the labels have {', '.join(table.class_names)}"
        )
    source = {
        "checkpoint": ", ".join(map(str, loaded.checkpoints)),
        "data": str(truth.data if truth else loaded.config.data.root),
    }
    if not loaded.draws_masks:
        return evaluate_labels(loaded, table, output, source)
    labels = LabelSheet(table.num_classes) if loaded.labels_images else None

    def predicted() -> Predicted:
        shown = table.has_class()
        for row, found in loaded.inspect_table(table):
            if labels is not None and found.label_probabilities is not None:
                labels.add(found.name, found.label_probabilities, shown[row])
            yield found.name, found.masks

    return _evaluate(table, predicted(), output, source, ImageReader.of(loaded.config.data, 3), labels)


def _evaluate(
    table: ImageTable,
    predicted: Predicted,
    output: Path | None,
    source: dict[str, str],
    read: ImageReader,
    labels: LabelSheet | None = None,
) -> dict[str, Any]:
    """`labels` fills while `predicted` is read."""
    if output is not None:
        OutputFolder(output).claim(RESULTS)
        output.mkdir(parents=True, exist_ok=True)  # told before the work, not after it, where that can't be
    sheet = ScoreSheet(table.num_classes)
    kept: dict[str, list[str]] = {}
    with meter("evaluate", len(table)) as progress:
        for row, (image_id, masks_chw) in enumerate(predicted):
            sheet.add(image_id, pair_counts(masks_chw, table.mask(row)))
            kept[image_id] = rle.encode_masks(masks_chw)
            progress.advance()
    evaluation = source | {"classes": list(table.class_names)} | sheet.as_dict()
    if labels is not None:
        evaluation["labels"] = labels.as_dict()
    if output is not None:
        _write(output, evaluation, sheet, table, kept, read)
    return evaluation


def _write(
    output: Path,
    evaluation: dict[str, Any],
    sheet: ScoreSheet,
    table: ImageTable,
    predicted: dict[str, list[str]],
    read: ImageReader,
) -> None:
    home = OutputFolder(output)
    home.write_json("scores.json", evaluation)
    pairs = pd.DataFrame(sheet.dice(), columns=[f"dice_{name}" for name in table.class_names])
    pairs.insert(0, "image_id", sheet.image_ids)
    with home.new("images.csv") as temporary:
        pairs.to_csv(temporary, index=False)
    samples = []
    for heading, score in _telling_images(sheet.image_scores()):
        row = table.image_ids.index(score.image_id)
        masks_chw = np.stack([rle.decode(text, *table.size(row)) for text in predicted[score.image_id]])
        image_hwc = read(table.path(row))
        samples.append(Sample(score.image_id, image_hwc, table.mask(row), masks_chw, heading))
    with home.new("sheet.png") as temporary:
        picture_sheet(temporary, samples, table.class_names)


def _telling_images(scores: list[ImageScore]) -> list[tuple[str, ImageScore]]:
    """The best, the median and the worst images; of those with a defect first, since empty ones show nothing."""
    ranked = sorted(scores, key=lambda score: (score.has_defect, score.dice), reverse=True)
    defective = [score for score in ranked if score.has_defect] or ranked
    middle = max(0, len(defective) // 2 - SHEET_IMAGES // 2)
    best = defective[:SHEET_IMAGES]
    median = [score for score in defective[middle : middle + SHEET_IMAGES] if score not in best]
    worst = sorted(scores, key=lambda score: score.dice)[:SHEET_IMAGES]
    worst = [score for score in worst if score not in best + median]
    groups = {"best": best, "median": median, "worst": worst}
    return [(heading, score) for heading, group in groups.items() for score in group]
