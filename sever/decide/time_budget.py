"""What to leave out so that a prediction ends in time: flips, then models, in a stated order. Knows no network.

The order: flips, the last named first; then segmenters, the one with the least weight first (of equals the last named)
until one is left; then image classifiers likewise. What was left out stays out. If even one model without flips is too
slow, the images that the time does not reach are called clean, which is still a whole submission.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

# Share of the whole time that is kept in hand.
SPARE = 0.05


@dataclass(frozen=True)
class Effort:
    """What is left out; paths are those of members (`Network.path`), at any depth."""

    without_flips: tuple[str, ...] = ()
    without: tuple[Path, ...] = ()

    def flips(self, flips: Sequence[str]) -> tuple[str, ...]:
        return tuple(flip for flip in flips if flip not in self.without_flips)

    def describe(self) -> list[str]:
        """What is left out, a line each; none for the full effort."""
        whole = [path for path in self.without if not set(path.parents) & set(self.without)]
        return [f"flip {name}" for name in self.without_flips] + [f"model {os.path.normpath(path)}" for path in whole]


@dataclass(frozen=True)
class BudgetedNetwork:
    """One network. `part`: which member of the whole model it belongs to; `weight`: its share of the blend;
    `parents`: the folders that are left out when their last network is."""

    path: Path
    part: int
    flips: tuple[str, ...]
    weight: float = 1.0
    draws_masks: bool = True
    parents: tuple[Path, ...] = ()


def efforts(members: Sequence[BudgetedNetwork]) -> list[Effort]:
    """From everything down to one model of a kind without flips, in the order that is stated above."""
    found = [Effort()]
    for flip in reversed(list(dict.fromkeys(flip for member in members for flip in member.flips))):
        found.append(replace(found[-1], without_flips=(*found[-1].without_flips, flip)))
    for draws_masks in (True, False):
        kind = [at for at, member in enumerate(members) if member.draws_masks == draws_masks]
        for at in sorted(kind, key=lambda at: (members[at].weight, -at))[:-1]:
            gone = (*found[-1].without, members[at].path)
            emptied = [
                parent
                for parent in members[at].parents
                if parent not in gone and all(each.path in gone for each in members if parent in each.parents)
            ]
            found.append(replace(found[-1], without=(*gone, *emptied)))
    return found


@dataclass
class Budget:
    """Watches the clock, measures how long an image takes, and says what effort the rest can have.

    seconds: for everything, from `start` on (on the clock; by default now). members: of the full effort.
    """

    seconds: float
    members: Sequence[BudgetedNetwork]
    clock: Callable[[], float] = time.monotonic
    start: float = math.nan
    rung: int = 0
    measured: bool = False
    # Seconds an image: of one pass through each network, of reading and writing, and of masks and CSV afterwards.
    pass_seconds: list[float] = field(default_factory=list)
    other_seconds: float = 0.0
    after_seconds: float = 0.0

    def __post_init__(self) -> None:
        self.start = self.clock() if math.isnan(self.start) else self.start
        self.ladder = efforts(self.members)

    @property
    def effort(self) -> Effort:
        return self.ladder[self.rung]

    def left(self, images: int) -> float:
        """Seconds for predicting, once masks and CSV of all `images` are allowed for."""
        return self.seconds * (1 - SPARE) - (self.clock() - self.start) - self.after_seconds * images

    def measure(self, images: int, seconds: float, part_seconds: Mapping[int, float]) -> None:
        """Take note: `images` took `seconds` with the present effort, of which each predictor took its part."""
        kept = [at for at, member in enumerate(self.members) if member.path not in self.effort.without]
        passes = {at: 1 + len(self.effort.flips(self.members[at].flips)) for at in kept}
        shares = {part: sum(passes[at] for at in kept if self.members[at].part == part) for part in part_seconds}
        new = [part_seconds.get(member.part, 0.0) / images / shares.get(member.part, 1) for member in self.members]
        old = self.pass_seconds or new
        self.pass_seconds = [new[at] if at in passes else old[at] for at in range(len(new))]
        self.other_seconds = max(0.0, seconds - sum(part_seconds.values())) / images
        self.measured = True

    def image_seconds(self, effort: Effort) -> float:
        """How long an image takes with that effort, by what was measured."""
        passes = [
            seconds * (1 + len(effort.flips(member.flips)))
            for member, seconds in zip(self.members, self.pass_seconds, strict=True)
            if member.path not in effort.without
        ]
        return self.other_seconds + sum(passes)

    def affordable(self, images: int) -> int:
        """How many more of all `images` the time allows at the present effort."""
        return int(max(0.0, self.left(images)) / max(self.image_seconds(self.effort), 1e-9))

    def settle(self, images_left: int, images: int) -> bool:
        """Take the greatest effort, from the present one down, that ends in time; True where it changes."""
        assert self.measured, "measure before you settle"
        before, left = self.rung, self.left(images)
        while self.rung < len(self.ladder) - 1 and self.image_seconds(self.effort) * images_left > left:
            self.rung += 1
        return self.rung != before
