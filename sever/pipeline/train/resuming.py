"""A run that goes on where it stopped, exactly as if it never had; or further than it was to go."""

from __future__ import annotations

from pathlib import Path

from sever.config import ExperimentConfig, dump_config, load_config
from sever.data.layouts import read_again
from sever.data.mixing import read_pseudo_labelled
from sever.errors import InputError
from sever.files import write_text
from sever.locks import one_writer
from sever.pipeline.inference.facts import DatasetFacts
from sever.pipeline.inference.trained import on_device
from sever.pipeline.label_checks import raise_if_relabelled
from sever.pipeline.train.fitting import build_trainer, fit
from sever.pipeline.train.normality import learn_after_training
from sever.progress import info
from sever.store import Run, find_run, read_rules
from sever.store.checkpoints import load_checkpoint
from sever.store.records import HistoryRow


def resume(path: Path, device: str, epochs: int | None = None) -> Run:
    """Go on with a run from its furthest checkpoint, or from the one that `path` names, exactly as if never stopped.

    `epochs`: so many in all, more than the run was to have. Where they are more than train.epochs, the schedule of the
    learning rate is stretched over them all, so that the rate goes up to what it would be at this point of a run of
    that length. Raises InputError.
    """
    run = resume_run(path, device, epochs)
    learn_after_training(run, run.best(), device)
    return run


def resume_run(path: Path, device: str, epochs: int | None = None) -> Run:
    """The same, but for what is normal, which whoever calls learns for the checkpoint that it goes by."""
    run, checkpoint = find_run(path)
    with one_writer(run.folder):
        return _resume(run, checkpoint, device, epochs)


def _resume(run: Run, checkpoint: Path | None, device: str, epochs: int | None) -> Run:
    config, _ = on_device(load_config(run.config_file), device)
    if epochs is not None:
        config = _lengthened(run, config, epochs)
    facts = DatasetFacts.read(run.dataset_file)
    table = read_again(config.data, run.folder)
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
            info(f"{checkpoint} is as far as this run goes: nothing is left to train")
        else:
            info(f"resuming from {checkpoint}: epoch {trainer.position.epoch + 1}, batch {trainer.position.batch + 1}")
    rules = read_rules(run.rules_file)
    if epochs is not None and trainer.accelerator.is_main_process:
        write_text(run.config_file, dump_config(config))  # so that a later `train -r` goes on to the same end
    return fit(run, config, facts, rules, trainer, validation, history)


def _lengthened(run: Run, config: ExperimentConfig, epochs: int) -> ExperimentConfig:
    """The same configuration with more epochs: on the way of a schedule that was stopped, or of a longer one."""
    train = config.train
    if epochs <= train.last_epoch:
        raise InputError(
            f"--epochs {epochs} is how many {run.folder} is to have in all, and it has {train.last_epoch}; give more"
        )
    if run.latest() is None:
        raise InputError(f"{run.folder} has no checkpoint yet; train it first: sever train -r {run.folder}")
    stop = epochs if epochs < train.epochs else None
    more = {"epochs": max(epochs, train.epochs), "stop_epoch": stop}
    return config.model_copy(update={"train": train.model_copy(update=more)})
