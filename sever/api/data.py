"""Whole sets of images: made, predicted into files, scored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from sever.api.arguments import as_path, as_path_or_none
from sever.config import MAX_PIXELS
from sever.data.synthetic import SynthSettings
from sever.errors import InputError
from sever.pipeline.evaluate import Truth, evaluate_run, evaluate_submission
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.predict import ImageSource, PredictedImages, predict_images
from sever.pipeline.shards.ray_engine import Job, predict_on_ray, raise_if_not_for_ray
from sever.pipeline.synth import synthesize


def synth(
    output: str | Path,
    *,
    train: int = 400,
    test: int = 100,
    height: int = 256,
    width: int = 1600,
    frequencies: Literal["real", "balanced"] = "real",
    form: Literal["combined", "separate"] = "combined",
    seed: int = 0,
    workers: int = 0,
) -> Path:
    """Make a synthetic data set of steel strip with exact masks, in the Severstal competition's layout.

    `train`, `test`: numbers of images; the test images' labels go to test_labels.csv. `height`, `width`: pixels.
    `frequencies`: of classes, real (as in the competition) or balanced. `form`: of the CSV files, combined or separate.
    `workers`: processes; 0 is one for each core. The same seed makes the same images.

    Raises InputError for a size that is too small, and for a folder that holds something else.

    >>> sever.synth("strip", train=3, test=1, height=64, width=96, workers=1).as_posix()
    'strip'
    """
    settings = SynthSettings(train, test, height, width, seed, frequencies=frequencies, csv_form=form, workers=workers)
    return synthesize(as_path(output, "output"), settings)


def predict(
    model: str | Path,
    images: str | Path | None = None,
    output: str | Path = "out",
    *,
    data: str | Path | None = None,
    split: str = "test",
    include: Sequence[str] = (),
    form: str = "combined",
    sheet: int = 12,
    skip_bad: bool = False,
    overwrite: bool = False,
    minutes: float | None = None,
    keep_maps: bool | None = None,
    familiarity: bool = False,
    device: str = "auto",
    precision: str | None = None,
    flips: Sequence[str] | None = None,
    batch_size: int | None = None,
    max_pixels: int | None = None,
    backend: str | None = None,
    engine: Literal["local", "ray"] = "local",
    workers: int | None = None,
    worker_cores: int = 1,
    shard_images: int = 256,
) -> PredictedImages:
    """Predict a folder of images into files: probs/ID.png, submission.csv and sheet.png; for results in memory take
    `sever.load` and `Model.inspect_folder`. What an interrupted prediction left is not predicted again.

    `model`: as in `sever.load`. `images`: a folder, or one image; or else `data`: the root of a data set, of which
    `split` (train, test). `include`: only images that match one of these globs. `form`: of submission.csv, combined or
    separate. `sheet`: images drawn into sheet.png. `skip_bad`: leave bad images out, and list them. `overwrite`:
    replace the maps of another model. `minutes`: end within so many, without flips and then members if need be.
    `keep_maps`: store probability maps; None: those of a trained run are stored, those of a bundle are not.
    `familiarity`: also rate how familiar each image is to the model (familiarity.csv, the strangest first), which takes
    a second pass of the encoder.
    `engine`: local, or ray: the workers of a Ray cluster (RAY_ADDRESS, else this machine), for a bundle. Then `images`
    may also be a list (.csv, .parquet) or a URL; `workers`: how many, each of `worker_cores` cores; `shard_images`:
    handed out, and committed, together.
    Returns what was found: `folder`, `images`, `found_per_class`, `result` (the CSV), `left_out`, and
    `unfamiliar` (images; None where that was not asked for).

    Raises InputError for images that can't be read, and for a folder that holds another prediction.

    >>> done = sever.predict("saved/mine", "images", "out")
    >>> done.images, done.result.as_posix()
    (1, 'out/submission.csv')
    """
    chosen = None if flips is None else tuple(flips)
    options = InferenceOptions(device, precision, chosen, batch_size, max_pixels, backend)
    if engine == "ray":
        refused = {"data": data, "include": include, "overwrite": overwrite, "minutes": minutes, "keep_maps": keep_maps}
        raise_if_not_for_ray(refused, images)
        job = Job(str(images), shard_images, workers, worker_cores, skip_bad, familiarity)
        return predict_on_ray(as_path(model, "model"), job, as_path(output, "output"), form, options)
    if engine != "local":
        raise InputError(f"unknown engine {engine!r}; there are local and ray")
    if "://" in str(images):
        raise InputError(f"{images} is in an object store: give --engine ray, or copy it here first")
    folder, root = as_path_or_none(images, "images"), as_path_or_none(data, "data")
    source = ImageSource(folder, root, split, tuple(include), skip_bad)
    trained, place = as_path(model, "model"), as_path(output, "output")
    return predict_images(trained, source, place, form, options, sheet, overwrite, minutes, keep_maps, familiarity)


def evaluate(
    model: str | Path | None = None,
    *,
    submission: str | Path | None = None,
    data: str | Path | None = None,
    labels: str | Path | None = None,
    include: Sequence[str] = (),
    num_classes: int | None = None,
    output: str | Path | None = None,
    device: str = "auto",
    precision: str | None = None,
    max_pixels: int | None = None,
) -> dict[str, Any]:
    """Score a model, or a submission's CSV, against labels.

    `model`: as in `sever.load`; without `data` a run is scored on the images that it held out. `data`: the root of a
    data set with labels. `labels`: a CSV of the test images' labels. `include`: only images that match one of these
    globs. `num_classes`: where data and labels don't say it. `output`: a folder for scores.json, images.csv, sheet.png.
    Returns the scores: `dice` (mean over images and classes), `dice_all_empty`, `dice_per_class`, `mean_iou`, ... Of a
    classifier `label_ap`, `label_auc` and `label_f1`, and of a segmenter that also labels images the same in `labels`.

    Raises InputError where labels and predictions don't fit together.

    >>> scores = sever.evaluate("saved/mine", data="data", labels="data/test_labels.csv")
    >>> scores["images"], scores["classes"]
    (2, ['1', '2', '3', '4'])
    """
    if (submission is None) == (model is None):
        raise InputError("give either a submission to score, or a model")
    if data is None and (labels is not None or include):
        raise InputError("labels and include are about the images of a data set: give its root as data, too")
    root, rows, place = (as_path_or_none(*each) for each in ((data, "data"), (labels, "labels"), (output, "output")))
    truth = None if root is None else Truth(root, rows, tuple(include), num_classes)
    if model is not None:
        options = InferenceOptions(device, precision, max_pixels=max_pixels)
        return evaluate_run(as_path(model, "model"), truth, place, options)
    if truth is None or submission is None:
        raise InputError("a submission is scored against labels: give data, and labels for test images")
    return evaluate_submission(as_path(submission, "submission"), truth, place, max_pixels or MAX_PIXELS)
