"""`sever crossval`: a run a fold, then every image's map by the network that has not seen it; resumable by folds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.table import Table

from sever.config import ExperimentConfig, dump_config, load_config
from sever.data.folds import ALWAYS_TRAIN, assign_folds
from sever.data.layouts import read_table
from sever.data.table import ImageTable
from sever.decide.postprocess import quantise
from sever.errors import InputError
from sever.files import write_json, write_text
from sever.pipeline.evidence import open_evidence, write_score_table
from sever.pipeline.inspection import (
    How,
    LoadedModel,
    fold_checkpoint,
    image_reader,
    inspect_table,
    label_table,
    load_model,
)
from sever.pipeline.progress import meter, tell
from sever.pipeline.tables import as_text
from sever.pipeline.train import resume, rules_of, train_run
from sever.store import Evidence, LabelStore, Run

# A fold trained beside another on the same CPU needs a few cores of its own; below that they only get in each other's
# way.
CORES_A_FOLD = 4


@dataclass(frozen=True)
class CrossValidation:
    """A finished cross-validation; `scores` is None for a classifier, which draws no masks."""

    folder: Path
    scores: dict[str, Any] | None


def start(config: ExperimentConfig, saved: Path) -> Evidence:
    """Split the images into folds.count folds and make the folder of a new cross-validation; nothing is trained yet."""
    folds_settings = config.folds.model_copy(update={"scheme": "kfold", "fold": 0})
    config = config.model_copy(update={"folds": folds_settings})
    table, _ = read_table(config.data)
    folds_n = assign_folds(table, config.folds)
    evidence = Evidence(Run.create(saved, config.name).folder)
    frame = table.frame[["image_id", "group"]].assign(fold=folds_n)
    evidence.write_table(evidence.folds_file, frame[frame["fold"] != ALWAYS_TRAIN])
    write_json(evidence.rules_file, rules_of(config, table.num_classes).model_dump(mode="json"))
    write_text(evidence.folder / "config.yml", dump_config(config))
    about = {
        "kind": "crossval",
        "name": config.name,
        "class_names": list(table.class_names),
        "folds": list(range(config.folds.count)),
        "data": config.data.model_dump(mode="json"),
    }
    write_json(evidence.about_file, about)  # last: a folder with this file is complete
    return evidence


def crossvalidate(evidence: Evidence, device: str, jobs: int) -> CrossValidation:
    """Train what is not trained yet, predict what is not predicted yet, and write the score table.

    `jobs` folds at a time, each a process of its own; 0 takes one a GPU, or one a `CORES_A_FOLD` cores.
    """
    about = evidence.about()
    todo = [fold for fold in about["folds"] if not is_done(evidence, fold)]
    jobs = min(jobs or default_jobs(device), max(len(todo), 1))
    tell(f"{evidence.folder}: {len(todo)} of {len(about['folds'])} folds to do, {jobs} at a time")
    if jobs > 1:
        _run_side_by_side(evidence, todo, device, jobs)
    else:
        for fold in todo:
            run_fold(evidence, fold, device)
    _gather_labels(evidence, about["folds"])
    if not evidence.has_maps:
        return CrossValidation(evidence.folder, None)
    opened = open_evidence(evidence.folder)
    pairs = write_score_table(opened)
    return CrossValidation(evidence.folder, summarise(pairs, opened.table.class_names))


def run_fold(evidence: Evidence, fold: int, device: str) -> None:
    """Train one fold, or go on with it, then store the maps of the images that it held out."""
    folds = evidence.about()["folds"]
    if fold not in folds:
        raise InputError(f"{evidence.folder} has no fold {fold}; its folds are {', '.join(map(str, folds))}")
    run = Run(evidence.fold_folder(fold))
    tell(f"fold {fold + 1} of {len(folds)}")
    if run.config_file.is_file():
        resume(run.folder, device)
    else:
        config = load_config(evidence.folder / "config.yml")
        config = config.model_copy(update={"folds": config.folds.model_copy(update={"fold": fold})})
        train_run(config, lambda: _made(run), device)
    loaded = load_model(fold_checkpoint(evidence, fold), How(device))
    everything, _ = read_table(loaded.config.data)
    _predict(evidence, fold, loaded, everything.select(held_out(evidence, fold)))


def held_out(evidence: Evidence, fold: int) -> list[str]:
    """Ids of the images that a fold does not train on."""
    folds = evidence.read_folds()
    return folds.loc[folds["fold"] == fold, "image_id"].tolist()


def is_done(evidence: Evidence, fold: int) -> bool:
    return (evidence.fold_folder(fold) / "predicted.json").is_file()


def default_jobs(device: str) -> int:
    if device in ("auto", "cuda") and torch.cuda.is_available():
        return torch.cuda.device_count()
    return max(1, (os.cpu_count() or 1) // CORES_A_FOLD) if device in ("auto", "cpu") else 1


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


def render(result: CrossValidation) -> str:
    """The scores as a table, and where the evidence lies."""
    return str(result.folder) if result.scores is None else f"{as_text(_table(result.scores))}\n{result.folder}"


def _table(scores: dict[str, Any]) -> Table:
    table = Table(title=f"Out of fold, {scores['images']} images")
    for heading in ("", "Dice", "all empty"):
        table.add_column(heading, justify="left" if not heading else "right")
    rows = zip(scores["classes"], scores["dice_per_class"], scores["dice_all_empty_per_class"], strict=True)
    for name, dice, empty in rows:
        table.add_row(str(name), f"{dice:.4f}", f"{empty:.4f}")
    table.add_row("mean", f"{scores['dice']:.4f}", f"{scores['dice_all_empty']:.4f}", style="bold")
    folds = scores["dice_per_fold"].values()
    table.caption = f"folds from {min(folds):.4f} to {max(folds):.4f}"
    return table


def _made(run: Run) -> Run:
    run.folder.mkdir(parents=True, exist_ok=True)
    return run


def _predict(evidence: Evidence, fold: int, loaded: LoadedModel, table: ImageTable) -> None:
    read, image_ids = image_reader(loaded.config, loaded.facts), table.image_ids
    labels: dict[str, np.ndarray] = {}
    with meter(f"fold {fold + 1}: out-of-fold answers", len(table)) as progress:
        for row, levels_chw, label_probs_c in _answers(loaded, table, read):
            if levels_chw is not None:
                evidence.maps.write(image_ids[row], levels_chw)
            if label_probs_c is not None:
                labels[image_ids[row]] = label_probs_c
            progress.advance()
    if labels:
        LabelStore(evidence.fold_folder(fold)).write(labels, table.num_classes)
    write_json(evidence.fold_folder(fold) / "predicted.json", {"checkpoint": loaded.checkpoints[0].name})


def _answers(
    loaded: LoadedModel, table: ImageTable, read: Callable[[Path], np.ndarray]
) -> Iterator[tuple[int, np.ndarray | None, np.ndarray | None]]:
    """(row, levels (C, H, W) uint8, label probabilities (C,)) of every image, as far as the network has them."""
    batch_size = loaded.config.predict.batch_size
    if not loaded.draws_masks:
        for row, label_probs_c in label_table(loaded.inspector, table, read, batch_size):
            yield row, None, label_probs_c
        return
    for seen in inspect_table(loaded.inspector, table, read, batch_size):
        yield seen.row, quantise(seen.inspection.probs_chw), seen.inspection.gate_probs_c


def _gather_labels(evidence: Evidence, folds: Sequence[int]) -> None:
    """One file of all folds' label probabilities, in the order of folds.csv."""
    num_classes, probs = len(evidence.about()["class_names"]), dict[str, np.ndarray]()
    for fold in folds:
        probs |= LabelStore(evidence.fold_folder(fold)).read(num_classes)
    if probs:
        evidence.labels.write(
            {image_id: probs[image_id] for image_id in evidence.read_folds()["image_id"]}, num_classes
        )


def _run_side_by_side(evidence: Evidence, folds: Sequence[int], device: str, jobs: int) -> None:
    """`jobs` processes at a time, each with its share of the cores or a GPU of its own; their output in fold-K.log."""
    slots: SimpleQueue[int] = SimpleQueue()
    for slot in range(jobs):
        slots.put(slot)

    def run(fold: int) -> None:
        slot = slots.get()
        try:
            _run_alone(evidence, fold, _slot_device(device, slot), max(1, (os.cpu_count() or 1) // jobs))
        finally:
            slots.put(slot)

    with meter("folds", len(folds)) as progress, ThreadPoolExecutor(jobs) as pool:
        for finished in as_completed([pool.submit(run, fold) for fold in folds]):
            finished.result()
            progress.advance()


def _run_alone(evidence: Evidence, fold: int, device: str, threads: int) -> None:
    log_file = evidence.folder / f"fold-{fold}.log"
    command = [sys.executable, "-m", "sever", "crossval", "-r", str(evidence.folder), "--fold", str(fold)]
    with log_file.open("ab") as log:
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        status = subprocess.run([*command, "--device", device], stdout=log, stderr=log, env=environment).returncode
    if status:
        last = log_file.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise InputError(f"fold {fold} failed ({log_file}): {''.join(last)}; type the same command again to go on")


def _slot_device(device: str, slot: int) -> str:
    on_gpus = device in ("auto", "cuda") and torch.cuda.is_available()
    return f"cuda:{slot % torch.cuda.device_count()}" if on_gpus else device
