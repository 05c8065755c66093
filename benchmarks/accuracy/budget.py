"""What a training may take and what it took: wall clock, processor time, or passes over the images.

On a busy machine only processor time can be compared; it counts the threads and processes that a training starts.
What was spent is kept on disk, so that a training in several sittings is charged for all of them.
"""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

import psutil

from sever.errors import InputError
from sever.files import write_json

ClockName = Literal["wall", "cpu", "epochs"]
SAVE_SECONDS = 10.0
# Of the budget, for what varies from step to step; a training that ends early wastes less than one that ends late.
SPARE_SHARE = 0.03


@dataclass(frozen=True)
class Spent:
    """Seconds of the wall clock, and of all processors."""

    wall: float = 0.0
    cpu: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: Spent) -> Spent:
        return Spent(self.wall - other.wall, self.cpu - other.cpu)

    def on(self, clock: ClockName) -> float:
        assert clock != "epochs", "passes over the images are no seconds"
        return self.wall if clock == "wall" else self.cpu


@dataclass(frozen=True)
class Budget:
    """`amount`: minutes of the clock, or epochs."""

    clock: ClockName
    amount: float

    def steps(self, spent: Spent, step: Spent, num_images: int, batch_size: int) -> int:
        """How many steps still fit, from what one step takes. Raises InputError where not even one does."""
        if self.clock == "epochs":
            return max(1, round(self.amount * (num_images // batch_size)))
        left = 60 * self.amount * (1 - SPARE_SHARE) - spent.on(self.clock)
        steps = int(left / step.on(self.clock))
        if steps < 1:
            raise InputError(
                f"a budget of {self.amount:g} minutes is too short: {spent.on(self.clock):.0f} s went before the first "
                f"step, and a step takes {step.on(self.clock):.1f} s; give a larger --minutes"
            )
        return steps


def processor_seconds() -> float:
    """User and system time of this process, of its children now, and of those that ended."""
    own = psutil.Process(os.getpid())
    times = own.cpu_times()
    total = times.user + times.system + times.children_user + times.children_system
    for child in own.children(recursive=True):
        try:
            its = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += its.user + its.system + its.children_user + its.children_system
    return float(total)


class Stopwatch:
    """Counts while it is entered, on top of what earlier sittings left in `file`; saves every few seconds."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.before = Spent(**json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else Spent()
        self.started = Spent()
        self._over = threading.Event()

    def __enter__(self) -> Stopwatch:
        self.started = now()
        self._thread = threading.Thread(target=self._save_often, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        self._save()

    def spent(self) -> Spent:
        return self.before + (now() - self.started)

    def _save_often(self) -> None:
        while not self._over.wait(SAVE_SECONDS):
            self._save()

    def _save(self) -> None:
        write_json(self.file, vars(self.spent()))


def now() -> Spent:
    return Spent(time.perf_counter(), processor_seconds())
