"""A command's result on standard output, with nothing in it that a terminal would obey."""

from __future__ import annotations

from pathlib import Path

from sever.names import visible
from sever.progress import is_main


def say(result: object) -> None:
    print(visible(str(result)))


def give(result: object) -> None:
    """A result, on standard output; of a path the whole, whatever folder the command was typed in."""
    if is_main():
        print(visible(str(result.absolute() if isinstance(result, Path) else result)))
