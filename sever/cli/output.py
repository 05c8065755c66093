"""A command's result on standard output, with nothing in it that a terminal would obey."""

from __future__ import annotations

from sever.names import visible


def say(result: object) -> None:
    print(visible(str(result)))
