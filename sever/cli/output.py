"""A command's result on standard output, with nothing in it that a terminal would obey."""

from __future__ import annotations

import json
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from sever.names import visible
from sever.progress import is_main


def say(result: object) -> None:
    print(visible(str(result)))


def give(result: object, as_json: bool = False) -> None:
    """A result, on standard output; of a path the whole, whatever folder the command was typed in.

    As JSON a path is {"path": ...}, and a record is its fields, one line each time.
    """
    if not is_main():
        return
    if as_json:
        say(json.dumps({"path": result} if isinstance(result, Path) else result, default=_plain))
    else:
        say(result.absolute() if isinstance(result, Path) else result)


def _plain(value: Any) -> Any:
    """What JSON does not know."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value.absolute() if isinstance(value, Path) else value)
