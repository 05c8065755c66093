"""What a caller gives as a path; anything else is one sentence instead of a TypeError from deep within."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sever.errors import InputError
from sever.names import expand_home


def as_path(given: Any, name: str) -> Path:
    """`~` is the user's home. Raises InputError for what is not a path; `name` is the argument's."""
    if isinstance(given, (str, os.PathLike)) and isinstance(os.fspath(given), str):
        return expand_home(os.fspath(given))
    raise InputError(f"{name} must be a path, as text or pathlib.Path, not {_shown(given)}")


def as_path_or_none(given: Any, name: str) -> Path | None:
    """The same, where an argument may be left out."""
    return None if given is None else as_path(given, name)


def as_paths(given: Any, name: str) -> tuple[Path, ...]:
    """The same, of several."""
    if isinstance(given, (str, bytes, os.PathLike)) or not isinstance(given, Iterable):
        raise InputError(f"{name} must be a list of paths, not {_shown(given)}")
    return tuple(as_path(each, f"{name}[{at}]") for at, each in enumerate(given))


def _shown(given: Any) -> str:
    return "None" if given is None else f"{type(given).__name__} ({str(given)[:40]})"
