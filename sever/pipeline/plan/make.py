"""`sever plan`: fingerprint, measurement, choices, and the experiment that they make; nothing is trained for good."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sever.config import DataSettings, ExperimentConfig, parse_config
from sever.data.dataset import measure_pixels
from sever.data.fingerprint import take_fingerprint
from sever.data.folds import assign_folds, split
from sever.data.layouts import read_table
from sever.data.reader import ImageReader
from sever.data.table import ImageTable
from sever.errors import InputError
from sever.files import new_file, write_json, write_text
from sever.locks import writes_to
from sever.models.pretrained import OFFLINE_PACKAGES
from sever.pipeline.inference.facts import DatasetFacts
from sever.pipeline.plan import choices as plan
from sever.pipeline.plan.candidates import (
    ENCODER,
    SMALLEST_BATCH,
    Candidate,
    PlannedNetwork,
    measured,
    name_of_small,
    needs_small,
    networks,
)
from sever.pipeline.plan.page import render_fingerprint, render_plan
from sever.pipeline.speed import step_seconds
from sever.pipeline.training_images import channels_of
from sever.progress import info
from sever.reading import read_json

GROUPS_FILE = "groups.csv"


@dataclass(frozen=True)
class PlanWish:
    """What the user says: data, hours, and what no program can know. `clock` counts the seconds of these hours.

    `strip`: whether to start from weights that have learnt synthetic strip.
    """

    root: Path
    hours: float
    name: str
    groups: Path | None = None
    train_only: tuple[str, ...] = ()
    device: str = "auto"
    machine: Path | None = None
    strip: bool = False
    clock: Callable[[], float] = time.perf_counter


def make_plan(wish: PlanWish) -> tuple[str, list[str]]:
    """The experiment as commented YAML, and the fingerprint in words. Raises InputError for faults of the data."""
    parse_config({"name": wish.name, "data": {"root": str(wish.root)}}, "--name")
    data, data_choices = _data(wish)
    table, _ = read_table(data, thorough=False)
    fingerprint = take_fingerprint(table)
    if fingerprint.clean_images == fingerprint.images:
        raise InputError(f"no image of {wish.root} shows a defect, so there is nothing to plan for; check the labels")
    offline = importlib.util.find_spec(OFFLINE_PACKAGES[ENCODER][0]) is not None
    allowed = networks(fingerprint, wish.strip)
    settled = plan.data_choices(fingerprint, offline, _workers(), wish.train_only, wish.strip)
    candidates = _candidates(wish, data, settled, table, allowed)
    trial = _trial(data, settled, candidates[0].network)
    training, validation = split(table, assign_folds(table, trial.folds), trial.folds)
    timed = plan.time_choices(len(training), len(validation), candidates, wish.hours, wish.strip)
    told = render_fingerprint(fingerprint, candidates)
    network = [choice for choice in timed if choice.name.startswith("model.")]
    rest = [choice for choice in timed if not choice.name.startswith("model.")]
    overruled = {choice.name for choice in rest}
    settled = [choice for choice in settled if choice.name not in overruled]
    page = render_plan(_head(wish, told), wish.name, data_choices, [*network, *settled, *rest])
    return page, told


@writes_to("output", whole=True)
def write_plan(wish: PlanWish, output: Path) -> list[str]:
    """The same, written to a new file: a plan that someone has edited is never lost. Returns the fingerprint."""
    with new_file(output) as temporary:
        page, told = make_plan(wish)
        write_text(temporary, page)
    return told


def _data(wish: PlanWish) -> tuple[DataSettings, list[plan.PlannedSetting]]:
    groups = wish.groups
    choices = [plan.PlannedSetting("data.root", str(wish.root), "as given")]
    if groups is None and (wish.root / GROUPS_FILE).is_file():
        groups = wish.root / GROUPS_FILE
    if groups is not None:
        why = "as given" if wish.groups else "lies in the data set"
        choices.append(plan.PlannedSetting("data.groups", str(groups), f"{why}: images of a group stay together"))
    return DataSettings(root=wish.root, groups=groups), choices


def _candidates(
    wish: PlanWish,
    data: DataSettings,
    settled: Sequence[plan.PlannedSetting],
    table: ImageTable,
    allowed: Sequence[PlannedNetwork],
) -> list[Candidate]:
    """Seconds a step by network, to two digits; what the file of an earlier measurement holds is not measured again."""
    known = wish.machine is not None and wish.machine.is_file()
    speeds = _known_speeds(wish.machine, allowed) if wish.machine is not None and known else {}
    before = len(speeds)
    batch = _trial(data, settled, allowed[0]).train.batch_size

    def measure(network: PlannedNetwork, images: int) -> float:
        if len(speeds) == before:
            info("measuring what a step takes on this machine")
        config = _trial(data, settled, network)
        config = config.model_copy(update={"train": config.train.model_copy(update={"batch_size": images})})
        seconds = step_seconds(config, _facts(table, config), table, wish.device, wish.clock)
        return float(f"{seconds:.2g}")

    if not known:
        for network in allowed:
            speeds[network.name] = measure(network, batch)
    for candidate in measured(allowed, speeds, batch):
        if needs_small(candidate, 3600 * wish.hours):
            speeds[name_of_small(candidate.network)] = measure(candidate.network, SMALLEST_BATCH)
    if wish.machine is not None and len(speeds) > before:
        write_json(wish.machine, speeds)
    return measured(allowed, speeds, batch)


def _known_speeds(file: Path, allowed: Sequence[PlannedNetwork]) -> dict[str, float]:
    speeds = read_json(file)
    good = isinstance(speeds, dict) and all(isinstance(value, float | int) and value > 0 for value in speeds.values())
    if not good or not any(network.name in speeds for network in allowed):
        raise InputError(
            f"{file} holds no measurement: wanted are seconds a step by network, such as "
            f'{{"{allowed[0].name}": 1.2}}; delete it to measure again'
        )
    return {str(name): float(value) for name, value in speeds.items()}


def _trial(data: DataSettings, settled: Sequence[plan.PlannedSetting], network: PlannedNetwork) -> ExperimentConfig:
    values: dict[str, Any] = plan.as_values(settled)
    values["model"] |= network.settings()
    return parse_config({"name": "trial", "data": data.model_dump(mode="json"), **values}, "the plan")


def _facts(table: ImageTable, config: ExperimentConfig) -> DatasetFacts:
    read = ImageReader.of(config.data, channels_of(config))
    return DatasetFacts(table.class_names, *measure_pixels(table.take(list(range(min(20, len(table))))), read))


def _workers() -> int:
    return min(8, (os.cpu_count() or 1) - 1)


def _head(wish: PlanWish, told: Sequence[str]) -> list[str]:
    strip = " --strip" if wish.strip else ""
    return [
        f"Planned by: sever plan {wish.root} --hours {wish.hours:.3g}{strip}",
        "Train it: sever train -c THIS_FILE",
        *told,
    ]
