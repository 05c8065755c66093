"""`sever plan`, then what it planned: its experiment decides all but the split, and trains as long as it may.

The plan is made on the contender's own clock, so that on a busy machine it plans for the seconds that it will be given.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sever.files import write_json, write_text
from sever.pipeline.plan.candidates import DECODERS, SMALLEST_BATCH, PlannedNetwork, name_of_small
from sever.pipeline.plan.make import PlanWish, make_plan

from ..task import Task, Trained
from .with_sever import BASE, link_data, train_sever

PLAN_FILE = "planned.yml"
# Of a step, where a plan is made without a clock.
STEP_IMAGES = 16


def train_planned(task: Task) -> Trained:
    """A variant's settings win over those of the plan."""
    data = task.folder / "data"
    if not data.is_dir():
        link_data(task.split, data)
    planned = task.folder / PLAN_FILE
    if not planned.is_file():
        write_text(planned, _page(task, data))
    return train_sever(replace(task, variant={BASE: str(planned), **task.variant}))


def _page(task: Task, data: Path) -> str:
    """The plan for what is left of the budget; a number of epochs says nothing of time, so then steps are seconds."""
    clock = task.budget.clock
    if clock != "epochs":
        left = 60 * task.budget.amount - task.stopwatch.spent().on(clock)
        wish = PlanWish(
            data, max(0.0, left) / 3600, "planned", device="cpu", clock=lambda: task.stopwatch.spent().on(clock)
        )
        return make_plan(wish)[0]
    machine = task.folder / "machine.json"
    every = [PlannedNetwork(square) for square in DECODERS]
    small = {name_of_small(network): SMALLEST_BATCH / STEP_IMAGES for network in every}
    write_json(machine, {network.name: 1.0 for network in every} | small)
    seconds = 2 + task.budget.amount * len(task.split.train) / STEP_IMAGES  # one step at least
    return make_plan(PlanWish(data, seconds / 3600, "planned", machine=machine))[0]
