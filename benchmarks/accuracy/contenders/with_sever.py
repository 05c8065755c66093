"""`sever` as a user has it: an experiment, `sever train`, its last checkpoint, and the one way from image to mask.

The experiment is one of experiments/ (variant `from=neu-grouped`), or the defaults with offline weights; every other
part of a variant is a setting, `optim.name=adamw`, with its value in YAML.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sever.config import ExperimentConfig
from sever.config.loading import parse_config
from sever.data.dataset import Channels, measure_pixels
from sever.data.images import read_image
from sever.data.layouts import read_table
from sever.data.reader import ImageReader
from sever.errors import InputError
from sever.files import atomic_folder, write_text
from sever.pipeline.inference.facts import DatasetFacts
from sever.pipeline.inference.load import load_model
from sever.pipeline.inference.model import Model
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.speed import step_seconds
from sever.pipeline.train.resuming import resume
from sever.pipeline.train.starting import train_run
from sever.prefetch import chunks
from sever.reading import read_json
from sever.store import Run

from ..budget import Spent
from ..protocols import Sample, Split
from ..scoring import to_labels
from ..task import Task, Trained

EXPERIMENTS = Path(__file__).parents[3] / "experiments"
BASE = "from"
# `sever train` always holds images out; two or three of thousands say nothing and cost nothing.
HELD_OUT_SHARE = 0.001
# No choice by score, so no validation; and resumable within an epoch.
FIXED = {"train.validate_every": "null", "train.patience": "null", "train.checkpoint_steps": "50"}


def train_sever(task: Task) -> Trained:
    folder, data = task.folder / "run", task.folder / "data"
    if not data.is_dir():
        link_data(task.split, data)
    if (folder / "config.yml").is_file():
        run = resume(folder, "cpu")
    else:
        run = train_run(_plan(task, data), partial(_made, folder), "cpu")
    last = run.latest()
    assert last is not None, run
    model = load_model(last, InferenceOptions(device="cpu"))
    steps = read_json(last / "state.json")["position"]["optimizer_step"]
    train = model.config.train
    return Trained(steps * train.accumulation * train.batch_size, partial(_predict, model))


def make_config(task: Task, data: Path, images: int | None = None) -> ExperimentConfig:
    """The experiment of a variant on this data, as one epoch of `images`; it validates nothing and chooses nothing.

    Schedules depend on the share of training that is done, so that the number of epochs has no effect of its own.
    """
    changes = dict(task.variant)
    values = base_values(changes.pop(BASE, None))
    length = {"train.epochs": "1", "sampling.epoch_images": str(images or "null"), "train.seed": str(task.seed)}
    for name, text in (changes | length | FIXED).items():
        section, _, key = name.partition(".")
        if not key or not isinstance(values.setdefault(section, {}), dict):
            raise InputError(f"the variant {name!r} is no setting: write section.key=value")
        values[section] = values[section] | {key: yaml.safe_load(text)}
    values |= {
        "name": "contender",
        "data": {"root": str(data)},
        "folds": {"share": HELD_OUT_SHARE, "find_copies": False},
    }
    return parse_config(values, f"variant {dict(task.variant)}")


def _plan(task: Task, data: Path) -> ExperimentConfig:
    """The experiment, as long as its budget allows."""
    config, clock = make_config(task, data), task.budget.clock
    step = Spent()
    if clock != "epochs":
        seconds = _measure_step(config, lambda: task.stopwatch.spent().on(clock))
        step = Spent(seconds, seconds)
    batch = config.train.batch_size * config.train.accumulation
    steps = task.budget.steps(task.stopwatch.spent(), step, len(task.split.train), batch)
    return make_config(task, data, steps * batch)


def _measure_step(config: ExperimentConfig, clock: Callable[[], float]) -> float:
    table, _ = read_table(config.data)
    channels: Channels = 3 if config.model.in_channels == "rgb" else 1
    facts = DatasetFacts(table.class_names, *measure_pixels(table, ImageReader.of(config.data, channels)))
    return step_seconds(config, facts, table, "cpu", clock)


def base_values(name: str | None) -> dict[str, Any]:
    """Settings of experiments/NAME.yml or of a file; without a name, the least that works without a model hub."""
    if name is None:
        return {"model": {"encoder": "tf_efficientnet_lite0", "weights": "offline"}}
    file = Path(name) if name.endswith(".yml") else EXPERIMENTS / f"{name}.yml"
    if not file.is_file():
        known = ", ".join(
            sorted(str(path.relative_to(EXPERIMENTS).with_suffix("")) for path in EXPERIMENTS.rglob("*.yml"))
        )
        raise InputError(f"there is no experiment {name!r}; allowed: {known}")
    values: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return values


def link_data(split: Split, folder: Path) -> None:
    """The training images as a data set of links, in place of a copy."""
    with atomic_folder(folder) as root:
        for sample in split.train:
            assert sample.mask is not None, sample
            for kind, source in (("images", sample.image), ("masks", sample.mask)):
                link = (root / kind / sample.name).with_suffix(source.suffix)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(source.resolve())
        groups = "".join(f"{sample.name},{sample.group}\n" for sample in split.train)
        write_text(root / "groups.csv", f"image,group\n{groups}")
        write_text(root / "classes.txt", "\n".join(split.class_names) + "\n")


def _made(folder: Path) -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    return Run(folder)


def _predict(model: Model, samples: tuple[Sample, ...]) -> Iterator[np.ndarray]:
    for batch in chunks(iter(samples), model.config.predict.batch_size):
        images = [read_image(sample.image, model.facts.channels) for sample in batch]
        for found in model.inspect(images):
            yield to_labels(found.masks)
