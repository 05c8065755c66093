"""Names that come out of files (image ids, members of archives and blends): whether they stay in their folder.

Every place that makes a path of such a name does it here.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path, PurePosixPath

from sever.errors import InputError

_DRIVE = re.compile(r"[A-Za-z]:")
# File systems take 255 bytes; `.png` and the name of a temporary file are added.
MOST_BYTES = 220


def fault_of(name: str) -> str | None:
    """Why `name` is no path below a folder, with slashes between its parts; None where it is one.

    What would lead astray on another system is a fault on this one too: results move between them.
    """
    if not name or name.startswith("/") or _DRIVE.match(name):
        return "it is empty" if not name else "it is an absolute path"
    if "\\" in name:
        return "it holds a backslash"
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        return "it holds control characters, or is not UTF-8"
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "it has `..`, `.` or nothing between its slashes"
    if any(len(part.encode()) > MOST_BYTES for part in parts):
        return f"it is longer than {MOST_BYTES} bytes"
    return None


def inside(folder: Path, name: str, what: str = "name") -> Path:
    """The path of `name` below `folder`. Raises InputError for a name that leaves it, or could elsewhere."""
    if fault := fault_of(name):
        raise InputError(f"the {what} {name!r} can't be a path below {folder}: {fault}")
    return folder / name


def beside(folder: Path, name: str, what: str = "name") -> Path:
    """The path of `name`, which may begin with `..` parts: a neighbour of `folder`, never an absolute path."""
    parts = PurePosixPath(name).parts
    up = next((at for at, part in enumerate(parts) if part != ".."), len(parts))
    rest = "/".join(parts[up:]) or "."
    fault = "it is empty" if not name else None if rest == "." else fault_of(rest)
    if fault:
        raise InputError(f"the {what} {name!r} is no path relative to {folder}: {fault}")
    return folder.joinpath(*parts)


def expand_home(path: str | Path) -> Path:
    """The path with `~` as the home folder; unlike Path.expanduser it leaves alone what nobody's home is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111
