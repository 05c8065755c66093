"""An experiment from the start: what can be checked first, then the images, the run's folder, and the loop."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from sever.config import ExperimentConfig, RuleSettings, dump_config
from sever.counted import counted
from sever.data.dataset import measure_pixels
from sever.data.folds import ALWAYS_TRAIN, assign_folds, split
from sever.data.layouts import passed_over_beside, read_table
from sever.data.mixing import read_pseudo_labelled
from sever.data.reader import ImageReader
from sever.data.samplers import mix_in_words, plan_mix
from sever.data.table import ImageTable
from sever.decide.rules import with_min_pixels
from sever.errors import InputError
from sever.locks import one_writer, writes_to
from sever.models.device import from_main
from sever.output import OutputFolder
from sever.pipeline import pixel_warnings
from sever.pipeline.begun import is_begun
from sever.pipeline.inference.facts import DatasetFacts
from sever.pipeline.inference.trained import on_device
from sever.pipeline.label_checks import raise_if_relabelled, tell_doubts
from sever.pipeline.pixel_warnings import warn_of_clipping, warn_of_headers, warn_of_mean
from sever.pipeline.skipped import report_skipped, warn_of
from sever.pipeline.split_check import tell_copies_across
from sever.pipeline.train.first_checks import check_before_data
from sever.pipeline.train.fitting import build_trainer, fit
from sever.pipeline.train.normality import learn_after_training
from sever.pipeline.train.resuming import resume
from sever.pipeline.train.tuning_from import start_facts
from sever.pipeline.training_images import channels_of
from sever.progress import detail, info, is_main, warn
from sever.store import Run
from sever.store.tables import put_table

LIBRARIES = ("sever", "torch", "torchvision", "timm", "segmentation-models-pytorch", "accelerate", "numpy")


def train_experiment(config: ExperimentConfig, saved: Path, device: str) -> Run:
    """Train one experiment from the start; returns its run, a new folder under `saved`/NAME."""
    pixel_warnings.begin()
    return _finished(train_run(config, lambda: Run.create(saved, config.name), device), device)


@writes_to("folder")
def train_into(config: ExperimentConfig, folder: Path, device: str) -> Run:
    """Train an experiment in this very folder; what was begun there with the same settings resumes, and ends where it
    has ended. Raises InputError where the folder holds anything else."""
    pixel_warnings.begin()
    if is_begun(folder, config, "run"):
        return resume(folder, device)
    return _finished(train_run(config, lambda: made(Run(folder)), device), device)


def _finished(run: Run, device: str) -> Run:
    learn_after_training(run, run.best(), device)
    return run


def train_run(
    config: ExperimentConfig, make_run: Callable[[], Run], device: str, labels: Mapping[str, str] | None = None
) -> Run:
    """Train one experiment from the start; its folder is made only when all that can be checked was found good.

    `labels`: digests of the labels by image that must still hold, where others began this work.
    """
    detail(f"settings of {config.name}:\n{dump_config(config)}")
    check_before_data(config)
    config, _ = on_device(config, device)
    table, skipped = read_table(config.data)
    warn_of(passed_over_beside(table))
    warn_of_headers(table)
    raise_if_relabelled(labels or {}, table, "the cross-validation")
    pseudo = None
    if config.pseudo is not None:
        pseudo = read_pseudo_labelled(config.pseudo, table, max_pixels=config.data.max_pixels)
        warn_of_headers(pseudo)
    folds = assign_folds(table, config.folds)
    training, validation = (table.take(rows) for rows in split(table, folds, config.folds))
    beside = f" beside {len(pseudo)} pseudo-labelled ones" if pseudo is not None else ""
    trains = counted(len(training), "image trains", "images train")
    validates = counted(len(validation), "validates", "validate")
    info(f"{trains}{beside}, {validates}; classes: {', '.join(table.class_names)}")
    if pseudo is not None and config.pseudo is not None:
        draws, batch_size = config.sampling.epoch_images or len(training), config.train.batch_size
        mix = plan_mix(draws, len(pseudo), batch_size, config.pseudo)
        info(mix_in_words(mix, len(pseudo), batch_size, config.pseudo.keep))
    _check_defects(training)
    tell_doubts(config, table)
    if labels is None and is_main():  # the folds of a cross-validation were looked at together
        tell_copies_across(config, table, np.isin(table.image_ids, training.image_ids))
    read = ImageReader.of(config.data, channels_of(config))
    facts = _facts(config, table, training, read)
    rules = with_min_pixels(config.rules, table.num_classes)
    trainer = build_trainer(config, facts, training, device, pretrained=True, pseudo=pseudo)

    run = Run(from_main(trainer.accelerator, lambda: make_run().folder))
    with one_writer(run.folder):
        if trainer.accelerator.is_main_process:
            _describe(run, config, table, folds, training, validation, pseudo, facts, rules)
            report_skipped(skipped, OutputFolder(run.folder), table)
        trainer.accelerator.wait_for_everyone()
        return fit(run, config, facts, rules, trainer, validation)


def _facts(config: ExperimentConfig, table: ImageTable, training: ImageTable, read: ImageReader) -> DatasetFacts:
    """The classes with the training images' mean and deviation, or with those of the network to start from."""
    if config.model.start is not None:
        return start_facts(config.model.start, table.class_names)
    mean, std = measure_pixels(training, read, max(1, config.train.workers))
    warn_of_clipping(read)
    warn_of_mean(mean)
    return DatasetFacts(table.class_names, tuple(mean), tuple(std))


def made(run: Run) -> Run:
    run.folder.mkdir(parents=True, exist_ok=True)
    return run


def _describe(
    run: Run,
    config: ExperimentConfig,
    table: ImageTable,
    folds: np.ndarray,
    training: ImageTable,
    validation: ImageTable,
    pseudo: ImageTable | None,
    facts: DatasetFacts,
    rules: RuleSettings,
) -> None:
    """Write what the run begins with; its configuration last, since a folder with one is a run.

    All of it goes on the folder's list: without a configuration, that alone tells a run that was killed from somebody's
    own files.
    """
    home = OutputFolder(run.folder)
    parts = dict.fromkeys(training.image_ids, "train") | dict.fromkeys(validation.image_ids, "validation")
    frame = table.frame[["image_id", "group"]].assign(fold=folds, part=[parts[i] for i in table.image_ids])
    frame["labels"] = table.label_digests()
    if pseudo is not None and config.pseudo is not None:
        frame = _with_pseudo(frame, pseudo)
        with home.new(run.pseudo_file.name) as temporary:  # so that what is resumed has the same labels
            shutil.copyfile(config.pseudo.labels, temporary)
    with home.new(run.folds_file.name) as temporary:
        put_table(temporary, frame)
    home.write_json(run.rules_file.name, rules.model_dump(mode="json"))
    home.write_json(run.dataset_file.name, facts.as_record().as_json())
    home.write_json("environment.json", _environment())
    home.write_text(run.config_file.name, dump_config(config))


def _with_pseudo(frame: pd.DataFrame, pseudo: ImageTable) -> pd.DataFrame:
    """The rows of folds.csv and those of the pseudo-labelled images, which belong to no fold."""
    more = pd.DataFrame({"image_id": pseudo.image_ids, "group": None, "fold": ALWAYS_TRAIN, "part": "pseudo"})
    more["labels"] = pseudo.label_digests()
    return pd.concat([frame.astype({"group": object}), more.astype({"group": object})], ignore_index=True)


def _check_defects(training: ImageTable) -> None:
    """Refuses images without any defect, from which nothing can be learnt, and warns of classes that none shows."""
    shown = np.asarray(training.has_class().any(axis=0))
    if not shown.any():
        raise InputError("no training image shows a defect; check the labels, data.include and the folds")
    absent = [name for name, there in zip(training.class_names, shown.tolist(), strict=True) if not there]
    if absent:
        warn(f"no training image shows {', '.join(absent)}, so it can't be learnt")


def _environment() -> dict[str, object]:
    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }
