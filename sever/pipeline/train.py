"""`sever train`: table, folds and statistics, then the training loop, watched and saved; resumable at any moment."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader

from sever.config import ExperimentConfig, RuleSettings, dump_config, load_config
from sever.data.dataset import collate, measure_pixels, start_worker
from sever.data.folds import ALWAYS_TRAIN, assign_folds, split
from sever.data.layouts import passed_over_beside, raise_unless_masks, read_table
from sever.data.mixing import check_there, read_pseudo_labelled
from sever.data.reader import ImageReader
from sever.data.samplers import make_sampler, mix_in_words, plan_mix, pseudo_a_batch
from sever.data.table import ImageTable
from sever.decide.rules import with_min_pixels
from sever.errors import InputError
from sever.files import write_json, write_text
from sever.locks import one_writer
from sever.models.allocator import keep_freed_memory
from sever.models.architectures import check_settings, find_architecture, find_encoder
from sever.models.checkpoint import average_weights
from sever.models.device import from_main, make_accelerator, pick_device
from sever.models.label_losses import build_outputs_loss
from sever.models.train import Trainer
from sever.output import OutputFolder
from sever.pipeline import pixel_warnings
from sever.pipeline.inference.facts import DatasetFacts
from sever.pipeline.inference.trained import new_network
from sever.pipeline.label_checks import raise_if_relabelled, tell_doubts
from sever.pipeline.loader_faults import loader_fault
from sever.pipeline.pixel_warnings import warn_of_clipping, warn_of_headers, warn_of_mean
from sever.pipeline.skipped import report_skipped, warn_of
from sever.pipeline.split_check import tell_copies_across
from sever.pipeline.training_images import channels_of, training_dataset
from sever.pipeline.training_log import TrainingLog
from sever.progress import detail, is_main, tell, warn
from sever.seals import sealed_path
from sever.store import Run, find_run, read_rules, write_rules
from sever.store.checkpoints import load_checkpoint, load_weights_file, save_weights
from sever.store.records import CheckpointRecord, HistoryRow
from sever.store.tables import write_table

LIBRARIES = ("sever", "torch", "torchvision", "timm", "segmentation-models-pytorch", "accelerate", "numpy")


def train_experiment(config: ExperimentConfig, saved: Path, device: str) -> Run:
    """Train one experiment from the start; returns its run, a new folder under `saved`/NAME."""
    pixel_warnings.begin()
    return train_run(config, lambda: Run.create(saved, config.name), device)


def train_run(
    config: ExperimentConfig, make_run: Callable[[], Run], device: str, labels: Mapping[str, str] | None = None
) -> Run:
    """Train one experiment from the start; its folder is made only when all that can be checked was found good.

    `labels`: digests of the labels by image that must still hold, where others began this work.
    """
    detail(f"settings of {config.name}:\n{dump_config(config)}")
    # What needs no data is told before a large data set is read.
    if config.model.task == "segment":
        check_settings(find_architecture(config.model.architecture), config.model)
        raise_unless_masks(config.data)
    find_encoder(config.model.encoder)
    pick_device(device, config.train.precision)
    if config.pseudo is not None:
        check_there(config.pseudo)
        pseudo_a_batch(config.pseudo, config.train.batch_size)

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
    tell(f"{len(training)} images train{beside}, {len(validation)} validate; classes: {', '.join(table.class_names)}")
    if pseudo is not None and config.pseudo is not None:
        draws, batch_size = config.sampling.epoch_images or len(training), config.train.batch_size
        mix = plan_mix(draws, len(pseudo), batch_size, config.pseudo)
        tell(mix_in_words(mix, len(pseudo), batch_size, config.pseudo.keep))
    _check_defects(training)
    tell_doubts(config, table)
    if labels is None and is_main():  # the folds of a cross-validation were looked at together
        tell_copies_across(config, table, np.isin(table.image_ids, training.image_ids))
    read = ImageReader.of(config.data, channels_of(config))
    mean, std = measure_pixels(training, read, max(1, config.train.workers))
    warn_of_clipping(read)
    warn_of_mean(mean)
    facts = DatasetFacts(table.class_names, tuple(mean), tuple(std))
    rules = with_min_pixels(config.rules, table.num_classes)
    trainer = build_trainer(config, facts, training, device, pretrained=True, pseudo=pseudo)

    run = Run(from_main(trainer.accelerator, lambda: make_run().folder))
    with one_writer(run.folder):
        if trainer.accelerator.is_main_process:
            _describe(run, config, table, folds, training, validation, pseudo, facts, rules)
            report_skipped(skipped, OutputFolder(run.folder), table)
        trainer.accelerator.wait_for_everyone()
        return _fit(run, config, facts, rules, trainer, validation)


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
    """Write what the run begins with; its configuration last, since a folder with one is a run."""
    parts = dict.fromkeys(training.image_ids, "train") | dict.fromkeys(validation.image_ids, "validation")
    frame = table.frame[["image_id", "group"]].assign(fold=folds, part=[parts[i] for i in table.image_ids])
    frame["labels"] = table.label_digests()
    if pseudo is not None and config.pseudo is not None:
        frame = _with_pseudo(frame, pseudo)
        with sealed_path(run.pseudo_file) as temporary:  # so that what is resumed has the same labels
            shutil.copyfile(config.pseudo.labels, temporary)
    write_table(run.folds_file, frame)
    write_rules(run.rules_file, rules)
    facts.write(run.dataset_file)
    write_json(run.folder / "environment.json", _environment())
    write_text(run.config_file, dump_config(config))


def resume(path: Path, device: str, epochs: int | None = None) -> Run:
    """Go on with a run from its furthest checkpoint, or from the one that `path` names, exactly as if never stopped.

    `epochs`: so many in all, more than the run was to have. Where they are more than train.epochs, the schedule of the
    learning rate is stretched over them all, so that the rate goes up to what it would be at this point of a run of
    that length. Raises InputError.
    """
    run, checkpoint = find_run(path)
    with one_writer(run.folder):
        return _resume(run, checkpoint, device, epochs)


def _resume(run: Run, checkpoint: Path | None, device: str, epochs: int | None) -> Run:
    config = load_config(run.config_file)
    if epochs is not None:
        config = _lengthened(run, config, epochs)
    facts = DatasetFacts.read(run.dataset_file)
    table, _ = read_table(config.data)
    if table.class_names != facts.class_names:
        raise InputError(
            f"{config.data.root} has the classes {', '.join(table.class_names)} now, but had "
            f"{', '.join(facts.class_names)} when {run.folder} began; put them back, or start a new run"
        )
    training, validation = (table.select(run.part(part), run.folder) for part in ("train", "validation"))
    raise_if_relabelled(run.label_digests(), table, run.folder)
    run.clean()
    checkpoint = checkpoint or run.latest()
    pseudo = None
    if config.pseudo is not None:
        pseudo = read_pseudo_labelled(config.pseudo, table, run.pseudo_file, config.data.max_pixels).select(
            run.part("pseudo"), run.folder
        )
    snapshot = load_checkpoint(checkpoint) if checkpoint is not None else None
    images_per_step = snapshot.values["position"].get("images_per_step") if snapshot is not None else None
    trainer = build_trainer(
        config, facts, training, device, pretrained=snapshot is None, pseudo=pseudo, images_per_step=images_per_step
    )
    history: list[HistoryRow] = []
    if snapshot is not None:
        trainer.resume(snapshot)
        history = list(snapshot.values["history"])
        if epochs is not None and trainer.is_done:
            raise InputError(
                f"{run.folder} stopped early: no better {config.train.monitor} in {config.train.patience} epochs "
                "(train.patience), which --epochs does not change"
            )
        if trainer.is_done:
            tell(f"{checkpoint} is as far as this run goes: nothing is left to train")
        else:
            tell(f"resuming from {checkpoint}: epoch {trainer.position.epoch + 1}, batch {trainer.position.batch + 1}")
    rules = read_rules(run.rules_file)
    if epochs is not None and trainer.accelerator.is_main_process:
        write_text(run.config_file, dump_config(config))  # so that a later `train -r` goes on to the same end
    return _fit(run, config, facts, rules, trainer, validation, history)


def _lengthened(run: Run, config: ExperimentConfig, epochs: int) -> ExperimentConfig:
    """The same configuration with more epochs: on the way of a schedule that was stopped, or of a longer one."""
    train = config.train
    if epochs <= train.last_epoch:
        raise InputError(
            f"--epochs {epochs} is how many {run.folder} is to have in all, and it has {train.last_epoch}; give more"
        )
    if run.latest() is None:
        raise InputError(f"{run.folder} has no checkpoint yet; let it train first: sever train -r {run.folder}")
    stop = epochs if epochs < train.epochs else None
    more = {"epochs": max(epochs, train.epochs), "stop_epoch": stop}
    return config.model_copy(update={"train": train.model_copy(update=more)})


def average_checkpoints(path: Path, count: int) -> Path:
    """Average the weights of the best `count` checkpoints of a run; returns the new checkpoint's folder."""
    run, _ = find_run(path)
    latest = run.latest()
    history = CheckpointRecord.of(latest).history if latest else ()
    monitor = load_config(run.config_file).train.monitor
    there = set(run.epochs())
    scored = [row for row in history if row.get(monitor) is not None and int(row["epoch"]) in there]
    if len(scored) < count:
        raise InputError(
            f"{run.folder} keeps {len(scored)} scored checkpoints, but {count} are to be averaged; "
            "train with train.keep_best or train.keep_every set higher, or average fewer"
        )
    best = sorted(scored, key=lambda row: -row[monitor])[:count]
    epochs = sorted(int(row["epoch"]) for row in best)
    weights = average_weights([load_weights_file(run.epoch_folder(epoch)) for epoch in epochs])
    folder = run.checkpoints / f"average-{count}"
    with one_writer(run.folder):
        save_weights(folder, weights, {"averaged_epochs": epochs})
    return folder


def build_trainer(
    config: ExperimentConfig,
    facts: DatasetFacts,
    training: ImageTable,
    device: str,
    pretrained: bool,
    pseudo: ImageTable | None = None,
    images_per_step: int | None = None,
) -> Trainer:
    """`images_per_step`: of all processes together, where a run began with so many; else train.batch_size in each."""
    settings = config.train
    accelerator = make_accelerator(device, settings.precision)
    if accelerator.device.type == "cpu":
        keep_freed_memory()
    torch.manual_seed(settings.seed)  # the first weights of what isn't pretrained
    network = new_network(config, facts, pretrained)
    dataset = training_dataset(config, training, pseudo)
    num_pseudo = 0 if pseudo is None else len(pseudo)
    sampler = make_sampler(
        config.sampling, config.pseudo, training.has_class(), num_pseudo, settings.batch_size, settings.seed
    )
    at_a_time = images_per_step or settings.batch_size * accelerator.num_processes
    if at_a_time % accelerator.num_processes:
        raise InputError(
            f"this run takes {at_a_time} images a step, which {accelerator.num_processes} processes can't share "
            "evenly; resume it in as many processes as before, or in a number that divides them"
        )
    if accelerator.num_processes > 1 and len(sampler) < at_a_time:
        raise InputError(
            f"{len(sampler)} images train, but {accelerator.num_processes} processes take {at_a_time} at a time; lower "
            "train.batch_size, or train in fewer processes"
        )
    loader = DataLoader(
        dataset,
        batch_size=at_a_time // accelerator.num_processes,
        sampler=sampler,
        num_workers=settings.workers,
        persistent_workers=settings.workers > 0,
        collate_fn=partial(collate, multiple=network.size_multiple),
        worker_init_fn=start_worker,
        # A last batch of one image breaks batch normalisation; a tiny data set is one short batch.
        drop_last=len(sampler) >= at_a_time,
        pin_memory=accelerator.device.type == "cuda",
    )
    loss = build_outputs_loss(config.loss, config.model)
    return Trainer(network, loader, sampler, loss, config.optim, settings, accelerator)


def _fit(
    run: Run,
    config: ExperimentConfig,
    facts: DatasetFacts,
    rules: RuleSettings,
    trainer: Trainer,
    validation: ImageTable,
    history: Sequence[HistoryRow] = (),
) -> Run:
    device, multiple = trainer.accelerator.device, trainer.plain_model.size_multiple
    watcher = TrainingLog(run, config, facts, rules, validation, device, multiple, history, trainer.batches_done)
    with watcher:
        try:
            trainer.fit(watcher)
        except KeyboardInterrupt:
            tell(f"interrupted; resume with: sever train -r {run.folder}")
            raise
        except (RuntimeError, OSError) as error:
            if fault := loader_fault(error, config.train.workers, run):
                raise fault from error
            raise
    if config.train.last_epoch < config.train.epochs and trainer.position.epoch == config.train.last_epoch:
        tell(
            f"stopped after epoch {config.train.last_epoch} of the schedule's {config.train.epochs} (train.stop_epoch)"
        )
    if trainer.position.epoch < config.train.last_epoch:
        tell(f"stopped early: no better {config.train.monitor} in {config.train.patience} epochs (train.patience)")
    return run


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
