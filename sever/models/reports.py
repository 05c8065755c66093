"""What the training loop remembers of itself, tells the world around it, and asks of it; computes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn

from sever.models.checkpoint import Snapshot
from sever.models.network import Outputs

Loss = Callable[[Outputs, Tensor], dict[str, Tensor]]
Scores = dict[str, float]


@dataclass
class Position:
    """Where training stands: what a checkpoint must remember beside the weights."""

    epoch: int = 0
    batch: int = 0
    optimizer_step: int = 0
    loss_sums: dict[str, float] = field(default_factory=dict)
    best_score: float | None = None
    best_epoch: int | None = None
    images_per_step: int | None = None  # of all processes together; None in checkpoints of before it was kept


@dataclass(frozen=True)
class StepReport:
    epoch: int
    batch: int
    num_batches: int
    optimizer_step: int
    losses: dict[str, float]
    learning_rates: dict[str, float]
    images: int
    seconds: float


@dataclass(frozen=True)
class EpochReport:
    epoch: int
    losses: dict[str, float]
    scores: Scores | None
    is_best: bool
    learning_rates: dict[str, float]
    seconds: float


class Watcher(Protocol):
    """What the loop tells, and asks of, the world around it; called in the main process only."""

    def step(self, report: StepReport) -> None: ...

    def validate(self, model: nn.Module, epoch: int) -> Scores: ...

    def epoch(self, report: EpochReport, snapshot: Callable[[], Snapshot]) -> None: ...

    def within_epoch(self, snapshot: Callable[[], Snapshot], position: Position) -> None: ...


class ResumableSampler(Protocol):
    def set_position(self, epoch: int, skip: int) -> None: ...
