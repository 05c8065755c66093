"""`sever predict`: images through a model into maps, labels, a submission and a picture; resumable."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from sever.counted import counted
from sever.data import rle
from sever.data.table import ImageTable
from sever.decide.label_metrics import LABEL_THRESHOLD
from sever.decide.time_budget import Budget
from sever.deliver.pictures import Sample, picture_sheet
from sever.deliver.submission import write_submission
from sever.errors import InputError
from sever.locks import writes_to
from sever.output import OutputFolder
from sever.pipeline import pixel_warnings
from sever.pipeline.image_source import ImageSource, PredictedImages
from sever.pipeline.inference.inspection import Inspection
from sever.pipeline.inference.load import load_model
from sever.pipeline.inference.model import Model
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.inference.time_limit import inspect_within, members_of
from sever.pipeline.one_pass_files import predict_in_one_pass
from sever.pipeline.pixel_warnings import warn_of_headers
from sever.pipeline.rating import FAMILIARITY, familiarity_store, known_familiarity, rate_table
from sever.pipeline.skipped import report_skipped
from sever.prefetch import cores, read_ahead
from sever.progress import meter
from sever.store import LabelStore, ProbabilityStore, fingerprint
from sever.store.found import FOUND, FoundStore
from sever.store.labels import LABELS
from sever.store.origin import Origin, digest_of, image_digests
from sever.store.outcomes import PREDICTION, PredictionRecord, kind_of_prediction

RESULTS = ("skipped.csv", "submission.csv", "sheet.png", "left_out.json")
NEEDS_MAPS = (
    "without maps only a bundle's runtimes predict masks, and not with --minutes; leave --no-keep-maps out, or `sever "
    "export` the model"
)
NOT_WITHIN_MINUTES = (
    "--minutes does not plan the time that --familiarity takes; leave one out, and rate the images afterwards with "
    "sever data familiar"
)
# Label probabilities (C,) float32 by image id; empty where no network labels images.
Gate: TypeAlias = dict[str, np.ndarray]
# A way through the images of a table.
Inspect: TypeAlias = Callable[[ImageTable], Iterator[tuple[int, Inspection]]]


@writes_to("output")
def predict_images(
    run: Path,
    source: ImageSource,
    output: Path,
    form: str,
    how: InferenceOptions,
    sheet_images: int = 0,
    overwrite: bool = False,
    minutes: float | None = None,
    keep_maps: bool | None = None,
    familiarity: bool = False,
) -> PredictedImages:
    """Predict every image of `source`; what an interrupted prediction left in `output` is not predicted again.

    `keep_maps`: whether probability maps are stored; None: those of a trained run are, those of a bundle are not.
    Segmenters leave probs/ and submission.csv, and what labels images labels.csv: a classifier alone, or the gate with
    which the masks are drawn. `minutes` is how long all of it may take: see `sever.decide.time_budget` for what is left
    out then. `familiarity`: also rate how familiar each image is (familiarity.csv).
    """
    began = time.monotonic()
    pixel_warnings.begin()
    if minutes and familiarity:
        raise InputError(NOT_WITHIN_MINUTES)
    model = load_model(run, replace(how, streams=0 if minutes else cores()))
    if familiarity:
        known_familiarity(model)  # before hours of work
    in_one_pass = model.network.streams is not None and model.draws_masks
    if keep_maps is False and not in_one_pass:
        raise InputError(NEEDS_MAPS)
    budget = Budget(60 * minutes, members_of(model.network), start=began) if minutes is not None else None
    table, skipped = source.read(model)
    warn_of_headers(table)
    home = OutputFolder(output)
    maps, labels = ProbabilityStore(output / "probs", home), LabelStore(output)
    # How much was left out for want of time is not known afterwards, so such maps count for such predictions alone.
    in_time = {"within_minutes": True} if budget else {}
    # That of an earlier prediction, maybe of other images, unless it goes on.
    stale = (FAMILIARITY,) if home.is_ours(FAMILIARITY) and not familiarity else ()
    names = [*map(maps.name, table.image_ids), *((FAMILIARITY,) if familiarity else ())]
    claim(home, manifest_of(model, source) | in_time, overwrite, (*RESULTS, *stale), names)
    report_skipped(skipped, home)
    if budget and not model.draws_masks:
        raise InputError("--minutes is for what draws masks; networks that only label images are predicted whole")
    if in_one_pass:
        done = predict_in_one_pass(home, model, table, form, bool(keep_maps), sheet_images)
    elif not model.draws_masks:
        done = _predict_labels(maps, labels, model, table)
    else:
        done = _predict_masks(home, maps, labels, model, table, form, sheet_images, budget)
    return done.with_ratings(rate_table(home, model, table)) if familiarity else done


def _predict_masks(
    home: OutputFolder,
    maps: ProbabilityStore,
    labels: LabelStore,
    model: Model,
    table: ImageTable,
    form: str,
    sheet_images: int,
    budget: Budget | None,
) -> PredictedImages:
    """By way of stored maps."""
    within = partial(inspect_within, budget, model, images=len(table)) if budget else None
    origins = origins_of(table, digest_of([model.identity, "within minutes"]) if budget else model.identity)
    gate = fill_maps(maps, labels, model, table, origins, within)
    reached = table.take([at for at, name in enumerate(table.image_ids) if maps.holds(name, origins[name])])
    left_out = _left_out(budget, len(table) - len(reached))
    if left_out:
        home.write_json("left_out.json", left_out)
    found = np.zeros(model.facts.num_classes, dtype=np.int64)
    areas: dict[str, int] = {}

    def rows() -> Iterator[tuple[str, list[str]]]:
        for image_id, masks_chw in _in_order(table.image_ids, _masks(maps, gate, model, reached)):
            if masks_chw is None:
                yield image_id, [""] * len(found)
                continue
            found[:] += masks_chw.any(axis=(1, 2))
            areas[image_id] = int(masks_chw.sum())
            yield image_id, rle.encode_masks(masks_chw)

    with home.new("submission.csv") as temporary:
        write_submission(temporary, rows(), form)
    if sheet_images:
        most = sorted((area, image_id) for image_id, area in areas.items() if area)[::-1][:sheet_images]
        _draw(home, maps, gate, model, table.select(image_id for _, image_id in most))
    counts = {name: int(count) for name, count in zip(model.classes, found, strict=True)}
    return PredictedImages(home.folder, len(table), counts, home.path("submission.csv"), tuple(left_out))


def manifest_of(model: Model, source: ImageSource) -> dict[str, Any]:
    """What the maps in an output folder depend on; the rules are applied afterwards, so they are not part of it."""
    settings = model.config.predict.model_dump(mode="json", exclude={"batch_size"})
    return {
        "images": source.describe(),
        "model": model.identity,
        "checkpoints_sha256": [fingerprint(checkpoint) for checkpoint in model.checkpoints],
        "blend": model.blend.as_dict(),
        "precision": model.config.train.precision,
        "predict": settings,
    }


def claim(
    home: OutputFolder, manifest: dict[str, Any], overwrite: bool, results: Sequence[str], maps: Sequence[str]
) -> None:
    """Make sure that what is in the folder is ours, and of the same prediction; with `overwrite` it goes.

    The files `results` are an earlier prediction's, maybe of other images: they go. Raises InputError, and deletes
    nothing, where a file that would be written, or deleted, is not ours.
    """
    home.claim([PREDICTION, LABELS, FOUND, *results, *maps])
    file, asked = home.path(PREDICTION), PredictionRecord.of(manifest)
    if overwrite:
        home.remove([*home.below("probs"), *home.below("members")])
        LabelStore(home.folder).clear()
        familiarity_store(home).clear()
        FoundStore(home).clear()
    elif file.exists() and kind_of_prediction(file).read(file) != asked:
        raise InputError(
            f"{home.folder} holds the maps of another checkpoint or other settings, or of other images ({file}); "
            "give another -o, or --overwrite to replace them"
        )
    home.remove(results)
    home.write_json(PREDICTION, asked.as_json())


def origins_of(table: ImageTable, identity: str) -> dict[str, str]:
    """What each image's map and label must say of their origin to count."""
    digests = image_digests(table.paths)
    return {name: str(Origin(identity, digest)) for name, digest in zip(table.image_ids, digests, strict=True)}


def _in_order(
    image_ids: Sequence[str], masks: Iterator[tuple[str, np.ndarray]]
) -> Iterator[tuple[str, np.ndarray | None]]:
    """Every image in the table's order; None for one that the time did not reach."""
    upcoming = next(masks, None)
    for image_id in image_ids:
        if upcoming is not None and upcoming[0] == image_id:
            yield upcoming
            upcoming = next(masks, None)
        else:
            yield image_id, None


def _left_out(budget: Budget | None, unreached: int) -> list[str]:
    """What was not computed for want of time; the rest of the images is called clean."""
    unseen = [f"{counted(unreached, 'image')}, called clean"] if unreached else []
    return [] if budget is None else budget.effort.describe() + unseen


def fill_maps(
    maps: ProbabilityStore,
    labels: LabelStore,
    model: Model,
    table: ImageTable,
    origins: Mapping[str, str],
    inspect: Inspect | None = None,
    keep: Callable[[Inspection, str], None] | None = None,
) -> Gate:
    """Predict what is missing, or of another origin; returns every image's gate where the networks label images.

    `inspect`: another way through the images than all of them, whole. `keep`: another way to store what was found, of
    the origin that is given with it, than its map alone.
    """
    classes = len(model.classes)
    labelled = labels.read(classes, origins) if model.labels_images else None
    ready = [
        (not model.draws_masks or maps.holds(image_id, origins[image_id]))
        and (labelled is None or image_id in labelled)
        for image_id in table.image_ids
    ]
    todo = table.take(np.flatnonzero(~np.array(ready)))
    with meter("predict", len(table), done=len(table) - len(todo)) as progress:
        for _, found in (inspect or model.inspect_table)(todo):
            if keep is not None:
                keep(found, origins[found.name])
            elif found.levels is not None:
                maps.write(found.name, found.levels, origins[found.name])
            if found.label_probabilities is not None:
                labels.add(found.name, found.label_probabilities, origins[found.name])
            progress.advance()
    if labelled is None:
        return {}
    done = [name for name in table.image_ids if not model.draws_masks or maps.holds(name, origins[name])]
    labels.finish(done, classes)
    return labels.read(classes, origins)


def _predict_labels(maps: ProbabilityStore, labels: LabelStore, model: Model, table: ImageTable) -> PredictedImages:
    """What networks that draw no masks say of every image."""
    gate = fill_maps(maps, labels, model, table, origins_of(table, model.identity))
    found = (np.stack(list(gate.values())) >= LABEL_THRESHOLD).sum(axis=0)
    counts = {name: int(count) for name, count in zip(model.classes, found, strict=True)}
    return PredictedImages(labels.folder, len(table), counts, labels.file)


def _masks(maps: ProbabilityStore, gate: Gate, model: Model, table: ImageTable) -> Iterator[tuple[str, np.ndarray]]:
    classes, image_ids = len(model.classes), table.image_ids

    def read(row: int) -> tuple[str, np.ndarray]:
        image_id = image_ids[row]
        return image_id, model.masks(read_levels(maps, table, row, classes), gate.get(image_id))

    return read_ahead(read, range(len(table)), depth=8)


def read_levels(maps: ProbabilityStore, table: ImageTable, row: int, num_classes: int) -> np.ndarray:
    """One image's stored map, (C, H, W) uint8. Raises InputError where it doesn't fit the image."""
    image_id = table.image_id(row)
    levels_chw = maps.read(image_id, num_classes)
    if levels_chw.shape[1:] != table.size(row):
        raise InputError(
            f"map {maps.path(image_id)} is of another size than its image, which must have changed since; "
            "delete the map and predict again, or give --overwrite"
        )
    return levels_chw


def _draw(home: OutputFolder, maps: ProbabilityStore, gate: Gate, model: Model, table: ImageTable) -> None:
    read = model.reader()
    samples = [
        Sample(image_id, read(table.path(row)), None, masks_chw)
        for row, (image_id, masks_chw) in enumerate(_masks(maps, gate, model, table))
    ]
    if samples:
        with home.new("sheet.png") as temporary:
            picture_sheet(temporary, samples, model.classes)
