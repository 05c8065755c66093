"""Progress on long work: a bar where people look on, plain lines in the log where the output is a file or a pipe.

What is told goes through `logging`; where it goes from there is the matter of the command line, or of who calls us.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from sever.names import visible

PLAIN_SECONDS = 10.0
LOGGER = logging.getLogger("sever")


class Meter(Protocol):
    def advance(self, amount: int = 1, note: str = "") -> None: ...


@contextmanager
def meter(title: str, total: int, done: int = 0, seconds: float = PLAIN_SECONDS) -> Iterator[Meter]:
    """Show how much of `total` is done, on standard error. `done` counts what an earlier run left finished."""
    title = visible(title)
    if not is_main() or not LOGGER.isEnabledFor(logging.INFO):
        yield _Silence()
    elif sys.stderr.isatty():
        with _bar() as bar:
            yield _BarMeter(bar, title, total, done)
    else:
        yield _PlainMeter(title, total, done, seconds)


class Stages(ExitStack):
    """A meter for each of several stages, by a function that is told the stage, how much is done, of how much."""

    def __init__(self) -> None:
        super().__init__()
        self.stage, self.done = "", 0
        self.meter: Meter | None = None

    def advance(self, stage: str, done: int, total: int) -> None:
        if stage != self.stage or self.meter is None:
            self.close()
            self.stage, self.done = stage, 0
            self.meter = self.enter_context(meter(stage, total))
        self.meter.advance(done - self.done)
        self.done = done


def info(message: str) -> None:
    """One line for who looks on."""
    if is_main():
        LOGGER.info(message)


def warn(message: str) -> None:
    """One line on what is probably not as it was meant."""
    if is_main():
        LOGGER.warning(message)


def detail(message: str) -> None:
    """What only matters where something is looked for."""
    if is_main():
        LOGGER.debug(message)


def is_main() -> bool:
    """Whether this process speaks for all that train one network (torchrun numbers them)."""
    return os.environ.get("RANK", "0") == "0"


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    )


class _Silence:
    def advance(self, amount: int = 1, note: str = "") -> None:
        pass


class _BarMeter:
    def __init__(self, bar: Progress, title: str, total: int, done: int) -> None:
        self.bar = bar
        self.task = bar.add_task(title, total=total, completed=done, note="")

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.bar.update(self.task, advance=amount, note=note)


class _PlainMeter:
    """A line every few seconds, and one at the end."""

    def __init__(self, title: str, total: int, done: int, seconds: float) -> None:
        self.title, self.total, self.done, self.first, self.seconds = title, total, done, done, seconds
        self.start = self.told = time.monotonic()

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.done += amount
        now = time.monotonic()
        if now - self.told < self.seconds and self.done < self.total:
            return
        self.told = now
        worked = self.done - self.first
        left = (now - self.start) / worked * (self.total - self.done) if worked else 0.0
        info(f"{self.title}: {self.done}/{self.total}, {left:.0f} s left{'  ' + note if note else ''}")
