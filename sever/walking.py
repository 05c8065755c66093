"""What lies below a folder, all of it or an error: a folder that can't be opened is never taken for an empty one.

`os.walk` and `Path.glob` pass over such a folder in silence, and the images or labels in it would be missing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from sever.errors import InputError
from sever.near_names import unreadable

Enters = Callable[[str, list[str]], bool]


def walk(
    top: Path, enters: Enters | None = None, refuse: Callable[[OSError], None] | None = None
) -> Iterator[tuple[str, list[str]]]:
    """Each folder below `top`, through links too, and the names of its files; top itself first.

    `enters(name, beside)` says whether a folder is entered, given those beside it. `refuse` is called for a folder
    that can't be opened, or is not there; by itself that raises InputError for the former.
    """

    for current, folders, names in os.walk(top, onerror=refuse or raise_unopened, followlinks=True):
        if _is_loop(Path(current), top):
            folders.clear()
            continue
        if enters is not None:
            folders[:] = [name for name in folders if enters(name, folders)]
        yield current, names


def entries(folder: Path) -> list[Path]:
    """What lies in a folder, sorted; nothing where there is none. Raises InputError where it can't be opened."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError(unreadable(folder, error)) from error


def raise_unopened(error: OSError) -> None:
    """For `os.walk`, of a folder that can't be opened; one that is not there, or no longer, holds nothing."""
    if isinstance(error, FileNotFoundError):
        return
    raise InputError(unreadable(Path(os.fsdecode(error.filename)), error)) from error


def _is_loop(current: Path, top: Path) -> bool:
    """Whether a link leads from `current` back to a folder above it."""
    if not current.is_symlink() or current == top:
        return False
    real = current.resolve()
    return any(parent.resolve() == real for parent in current.parents)
