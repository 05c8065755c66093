"""How long one step of training takes on this machine, measured on the data itself and then thrown away."""

from __future__ import annotations

import time
from collections.abc import Callable

from torch import nn

from sever.config import ExperimentConfig
from sever.data.table import ImageTable
from sever.models.checkpoint import Snapshot
from sever.models.reports import EpochReport, Position, Scores, StepReport
from sever.pipeline.inference.facts import DatasetFacts
from sever.pipeline.train.fitting import build_trainer

# The first steps allocate memory, choose kernels and start the processes that read.
WARM_STEPS, TIMED_STEPS = 3, 6


class _Enough(Exception):
    """Raised by the watcher when it has seen its steps."""


class _StepClock:
    """A watcher that notes when the timed steps began and ended, then stops the training."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock, self.seen = clock, 0
        self.began = self.ended = 0.0

    def step(self, report: StepReport) -> None:
        self.seen += 1
        if self.seen == WARM_STEPS:
            self.began = self.clock()
        if self.seen == WARM_STEPS + TIMED_STEPS:
            self.ended = self.clock()
            raise _Enough

    def validate(self, model: nn.Module, epoch: int) -> Scores:
        raise AssertionError("steps are timed without validation")

    def epoch(self, report: EpochReport, snapshot: Callable[[], Snapshot]) -> None:
        """Nothing is kept."""

    def within_epoch(self, snapshot: Callable[[], Snapshot], position: Position) -> None:
        """Nothing is kept."""


def step_seconds(
    config: ExperimentConfig,
    facts: DatasetFacts,
    training: ImageTable,
    device: str,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Seconds that a step of this experiment takes, reading and random changes included; by `clock`.

    The network has random weights, which take as long as any.
    """
    train = config.train.model_copy(
        update={"epochs": 1, "validate_every": None, "patience": None, "checkpoint_steps": None}
    )
    # Full batches, however few images there are.
    images = (WARM_STEPS + TIMED_STEPS) * train.batch_size
    sampling = config.sampling.model_copy(update={"epoch_images": images})
    timed = config.model_copy(update={"train": train, "sampling": sampling})
    trainer = build_trainer(timed, facts, training, device, pretrained=False)
    watcher = _StepClock(clock)
    try:
        trainer.fit(watcher)
    except _Enough:
        return (watcher.ended - watcher.began) / TIMED_STEPS
    raise AssertionError("the epoch has so many steps")
