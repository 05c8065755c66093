"""The loop and all that stands around it: loader, sampler, loss, log; knows neither a beginning nor a resumption."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch.utils.data import DataLoader

from sever.config import ExperimentConfig, RuleSettings
from sever.counted import counted
from sever.data.dataset import collate, start_worker
from sever.data.samplers import make_sampler
from sever.data.table import ImageTable
from sever.errors import InputError
from sever.models.allocator import keep_freed_memory
from sever.models.device import make_accelerator
from sever.models.label_losses import build_outputs_loss
from sever.models.train import Trainer
from sever.pipeline.inference.facts import DatasetFacts
from sever.pipeline.inference.trained import new_network
from sever.pipeline.loader_faults import loader_fault
from sever.pipeline.train.teacher import soft_targets
from sever.pipeline.train.tuning_from import load_start
from sever.pipeline.training_images import training_dataset
from sever.pipeline.training_log import TrainingLog
from sever.progress import info
from sever.store import Run
from sever.store.records import HistoryRow


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
    network = new_network(config, facts, pretrained and config.model.start is None)
    if pretrained and config.model.start is not None:
        load_start(network, config.model.start)
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
            f"{counted(len(sampler), 'image trains', 'images train')}, but {accelerator.num_processes} processes take "
            f"{at_a_time} at a time; lower train.batch_size, or train in fewer processes"
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
    soft = soft_targets(config.distill, facts, device)
    return Trainer(network, loader, sampler, loss, config.optim, settings, accelerator, soft)


def fit(
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
            info(f"interrupted; resume with: sever train -r {run.folder}")
            raise
        except (RuntimeError, OSError) as error:
            if fault := loader_fault(error, config.train.workers, run):
                raise fault from error
            raise
    if config.train.last_epoch < config.train.epochs and trainer.position.epoch == config.train.last_epoch:
        info(
            f"stopped after epoch {config.train.last_epoch} of the schedule's {config.train.epochs} (train.stop_epoch)"
        )
    if trainer.position.epoch < config.train.last_epoch:
        info(f"stopped early: no better {config.train.monitor} in {config.train.patience} epochs (train.patience)")
    return run
