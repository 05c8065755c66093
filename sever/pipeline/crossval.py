"""`sever crossval`: a run a fold, then every image's map by the network that has not seen it; resumable by folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from sever.config import ExperimentConfig, dump_config, load_config
from sever.data.folds import ALWAYS_TRAIN, assign_folds
from sever.data.layouts import read_again, read_table
from sever.data.table import ImageTable
from sever.decide.label_metrics import LabelSheet
from sever.decide.rules import with_min_pixels
from sever.errors import InputError
from sever.locks import one_writer, writes_to
from sever.pipeline import pixel_warnings
from sever.pipeline.begun import is_begun
from sever.pipeline.evidence import OpenEvidence, open_evidence, write_score_table
from sever.pipeline.fold_processes import default_jobs, run_side_by_side
from sever.pipeline.inference.identity import identity_of_run
from sever.pipeline.inference.load import fold_checkpoint, load_model
from sever.pipeline.inference.model import Model
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.pixel_warnings import warn_of_headers
from sever.pipeline.predict import origins_of
from sever.pipeline.split_check import tell_copies_across
from sever.pipeline.train.first_checks import check_before_data
from sever.pipeline.train.normality import learn_after_training
from sever.pipeline.train.resuming import resume_run
from sever.pipeline.train.starting import made, train_run
from sever.progress import info, meter
from sever.store import Evidence, LabelStore, Run
from sever.store.labels import Label
from sever.store.records import EvidenceRecord, PredictedRecord

# In a fold's folder: it is predicted, and what its network left.
PREDICTED = "predicted.json"


@dataclass(frozen=True)
class CrossValidation:
    """A finished cross-validation. `scores` of masks is None for a classifier, which draws none; `labels` (as
    LabelSheet.as_dict) is None for what labels no images."""

    folder: Path
    class_names: tuple[str, ...]
    scores: dict[str, Any] | None
    labels: dict[str, Any] | None

    def as_dict(self) -> dict[str, Any]:
        return {"folder": str(self.folder)} | (self.scores or {}) | ({"labels": self.labels} if self.labels else {})


@writes_to("folder")
def start(config: ExperimentConfig, saved: Path, folder: Path | None = None) -> Evidence:
    """Split the images into folds.count folds and make the folder of a new cross-validation; nothing is trained yet.

    `folder`: this one, instead of saved/NAME/TIMESTAMP; what was begun there with the same settings is returned as it
    is. Raises InputError where it holds anything else.
    """
    folds_settings = config.folds.model_copy(update={"scheme": "kfold", "fold": 0})
    config = config.model_copy(update={"folds": folds_settings})
    if folder is not None and is_begun(folder, config, "crossval") and Evidence(folder).about_file.is_file():
        return Evidence(folder)
    check_before_data(config)
    pixel_warnings.begin()
    table, _ = read_table(config.data)
    warn_of_headers(table)
    folds_n = assign_folds(table, config.folds)
    tell_copies_across(config, table, folds_n)
    evidence = Evidence((made(Run(folder)) if folder is not None else Run.create(saved, config.name)).folder)
    frame = table.frame[["image_id", "group"]].assign(fold=folds_n, labels=table.label_digests())
    evidence.write_folds(frame[frame["fold"] != ALWAYS_TRAIN])
    rules = with_min_pixels(config.rules, table.num_classes)
    evidence.output.write_json(evidence.rules_file.name, rules.model_dump(mode="json"))
    evidence.output.write_text("config.yml", dump_config(config))
    about = EvidenceRecord(
        kind="crossval",
        name=config.name,
        class_names=table.class_names,
        folds=tuple(range(config.folds.count)),
        data=config.data,
    )
    evidence.output.write_json(evidence.about_file.name, about.as_json())  # last: a folder with this file is complete
    return evidence


def crossvalidate(evidence: Evidence, device: str, jobs: int) -> CrossValidation:
    """Train what is not trained yet, predict what is not predicted yet, and write the score table.

    `jobs` folds at a time, each a process of its own; 0 takes as many as `default_jobs` says.
    """
    with one_writer(evidence.folder):
        return _crossvalidate(evidence, device, jobs)


def _crossvalidate(evidence: Evidence, device: str, jobs: int) -> CrossValidation:
    folds = _folds_of(evidence)
    _adopt_older(evidence)
    todo = folds_to_do(evidence, folds)
    jobs = min(jobs or default_jobs(device), max(len(todo), 1))
    info(f"{evidence.folder}: {len(todo)} of {len(folds)} folds to do, {jobs} at a time")
    if jobs > 1:
        run_side_by_side(evidence, todo, device, jobs)
    else:
        for fold in todo:
            run_fold(evidence, fold, device)
    _note_models(evidence, folds)
    _gather_labels(evidence, folds)
    opened = open_evidence(evidence.folder)
    labels = None if opened.gate_probs_nc is None else _label_scores(opened)
    if not evidence.has_maps:
        return CrossValidation(evidence.folder, opened.table.class_names, None, labels)
    pairs = write_score_table(opened)
    return CrossValidation(
        evidence.folder, opened.table.class_names, summarise(pairs, opened.table.class_names), labels
    )


def run_fold(evidence: Evidence, fold: int, device: str) -> None:
    """Train one fold, or go on with it, then store the maps of the images that it held out."""
    folds = _folds_of(evidence)
    if fold not in folds:
        raise InputError(f"{evidence.folder} has no fold {fold}; its folds are {', '.join(map(str, folds))}")
    with one_writer(evidence.fold_folder(fold)):
        info(f"fold {fold + 1} of {len(folds)}")
        _run_fold(evidence, fold, device)


def _run_fold(evidence: Evidence, fold: int, device: str) -> None:
    run = Run(evidence.fold_folder(fold))
    if run.config_file.is_file():
        resume_run(run.folder, device)
    else:
        config = load_config(evidence.folder / "config.yml")
        config = config.model_copy(update={"folds": config.folds.model_copy(update={"fold": fold})})
        train_run(config, lambda: made(run), device, evidence.label_digests())
    checkpoint = fold_checkpoint(evidence, fold)
    learn_after_training(run, checkpoint, device)
    model = load_model(checkpoint, InferenceOptions(device))
    everything = read_again(model.config.data, evidence.folder)
    _predict(evidence, fold, model, everything.select(held_out(evidence, fold), evidence.folder))


def held_out(evidence: Evidence, fold: int) -> list[str]:
    """Ids of the images that a fold does not train on."""
    folds = evidence.read_folds()
    return folds.loc[folds["fold"] == fold, "image_id"].tolist()


def folds_to_do(evidence: Evidence, folds: Sequence[int]) -> list[int]:
    """Which of them are not trained and predicted yet, or have to be predicted again."""
    begun = [fold for fold in folds if (evidence.fold_folder(fold) / PREDICTED).is_file()]
    if not begun:
        return list(folds)
    table = read_again(load_config(evidence.folder / "config.yml").data, evidence.folder)
    return [fold for fold in folds if fold not in begun or not _is_done(evidence, fold, table)]


def _is_done(evidence: Evidence, fold: int, table: ImageTable) -> bool:
    """Whether all that the fold left is there, and of its network and the images as they are in `table`: a map or a
    label that was lost, replaced, or whose image was, is made again."""
    folder = evidence.fold_folder(fold)
    noted = PredictedRecord.read(folder / PREDICTED)
    left, model = noted.left, noted.model
    if model is None or model != identity_of_run(fold_checkpoint(evidence, fold)):
        return False
    origins = origins_of(table.select(held_out(evidence, fold)), model)
    if "maps" in left and not all(evidence.maps.holds(image_id, origin) for image_id, origin in origins.items()):
        return False
    labels = LabelStore(folder)
    return "labels" not in left or labels.read(table.num_classes, origins).keys() == origins.keys()


def summarise(pairs: pd.DataFrame, class_names: Sequence[str]) -> dict[str, Any]:
    """Mean Dice over all pairs, of an empty submission, a class and a fold, from a score table."""
    return {
        "images": int(pairs["image_id"].nunique()),
        "classes": list(class_names),
        "dice": float(pairs["dice"].mean()),
        "dice_all_empty": float((pairs["true_pixels"] == 0).mean()),
        "dice_per_class": [float(value) for value in pairs.groupby("class_id")["dice"].mean()],
        "dice_all_empty_per_class": [
            float(value) for value in pairs.assign(empty=pairs["true_pixels"] == 0).groupby("class_id")["empty"].mean()
        ],
        "dice_per_fold": {str(fold): float(value) for fold, value in pairs.groupby("fold")["dice"].mean().items()},
    }


def _label_scores(opened: OpenEvidence) -> dict[str, Any]:
    """What an image classifier, or a label head, is worth on images that it has not seen."""
    assert opened.gate_probs_nc is not None
    sheet = LabelSheet(opened.num_classes)
    for row, shown_c in enumerate(opened.table.has_class()):
        sheet.add(opened.table.image_id(row), opened.gate_probs_nc[row], shown_c)
    return sheet.as_dict()


def _folds_of(evidence: Evidence) -> tuple[int, ...]:
    about = evidence.about()
    if about.is_blend:
        raise InputError(f"{evidence.folder} is not a cross-validation, but a blend; give the folder of one")
    return about.folds


def _predict(evidence: Evidence, fold: int, model: Model, table: ImageTable) -> None:
    """Keep what the fold's network says of every image, as far as it has an answer: a map, or labels, or both."""
    labels: dict[str, Label] = {}
    origins = origins_of(table, model.identity)
    with meter(f"fold {fold + 1}: out-of-fold answers", len(table)) as progress:
        for _, found in model.inspect_table(table):
            if found.levels is not None:
                evidence.maps.write(found.name, found.levels, origins[found.name])
            if found.label_probabilities is not None:
                labels[found.name] = Label(found.label_probabilities, origins[found.name])
            progress.advance()
    if labels:
        LabelStore(evidence.fold_folder(fold)).write(labels, table.num_classes)
    left: list[Literal["maps", "labels"]] = ["maps"] if model.draws_masks else []
    left += ["labels"] if labels else []
    record = PredictedRecord(checkpoint=model.checkpoints[0].name, left=tuple(left), model=model.identity)
    record.write(evidence.fold_folder(fold) / PREDICTED)


def _note_models(evidence: Evidence, folds: Sequence[int]) -> None:
    """Put into evidence.json whose maps count, once all folds are predicted."""
    about = evidence.about()
    noted = {str(fold): PredictedRecord.read(evidence.fold_folder(fold) / PREDICTED).model for fold in folds}
    models = {fold: model for fold, model in noted.items() if model is not None}
    if about.models != models:
        about.model_copy(update={"models": models}).write(evidence.about_file)
        evidence.output.adopt([evidence.about_file.name])


def _adopt_older(evidence: Evidence) -> None:
    """A cross-validation's folder was made by us, empty: before there was a list, all in it was written by us."""
    if not evidence.output.list_file.exists():
        maps = [evidence.maps.name(image_id) for image_id in evidence.maps]
        tables = [file.name for file in (evidence.pairs_file, evidence.labels_file) if file.is_file()]
        evidence.output.adopt([*maps, *tables])


def _gather_labels(evidence: Evidence, folds: Sequence[int]) -> None:
    """One file of all folds' label probabilities, in the order of folds.csv."""
    num_classes, labels = len(evidence.about().class_names), dict[str, Label]()
    for fold in folds:
        labels |= LabelStore(evidence.fold_folder(fold)).read_labels(num_classes)
    if labels:
        evidence.labels.write(
            {image_id: labels[image_id] for image_id in evidence.read_folds()["image_id"]}, num_classes
        )
