"""What is fuzzed: a file, and what reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """A file in its place, whole, and what reads it there (InputError is all that may come of damage)."""

    name: str
    path: Path
    read: Callable[[], object]

    def whole(self) -> bytes:
        return self.path.read_bytes()
