"""How long each member of a model takes; knows no networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

Answer = TypeVar("Answer")


class PartSeconds:
    """Adds up, by the places of `parts`, the seconds between one member's answer and the next."""

    def __init__(self, parts: list[int], clock: Callable[[], float]) -> None:
        self.parts, self.clock = parts, clock
        self.seconds: dict[int, float] = {}

    def __call__(self, answers: Iterator[Answer]) -> Iterator[Answer]:
        start = self.clock()
        for part, answer in zip(self.parts, answers, strict=True):
            now = self.clock()
            self.seconds[part] = self.seconds.get(part, 0.0) + now - start
            yield answer
            start = self.clock()
