"""Names that come out of files (image ids, members of archives and blends): whether they stay in their folder.

Every place that makes a path of such a name does it here, and what shows one to a person makes it `visible` first.
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
# What follows these is shown from right to left, or stops to be: a name may seem to be another.
_TURNS_TEXT_ROUND = "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def fault_of(name: str) -> str | None:
    """Why `name` is not a path below a folder, with slashes between its parts; None where it is one.

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


def visible(text: str) -> str:
    """The text with what a terminal would obey, or can't show, written out (ESC as \\x1b); lines stay lines."""
    return text if text.isprintable() else "".join(map(_written_out, text))


def one_line(name: str) -> str:
    """The same of a name, which may hold line ends."""
    return visible(name).replace("\n", "\\n").replace("\t", "\\t")


def _written_out(character: str) -> str:
    is_odd = unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _TURNS_TEXT_ROUND
    return ascii(character)[1:-1] if is_odd and character not in "\n\t" else character


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
        raise InputError(f"the {what} {name!r} is not a path relative to {folder}: {fault}")
    return folder.joinpath(*parts)


def expand_home(path: str | Path) -> Path:
    """The path with `~` as the home folder; unlike Path.expanduser it leaves alone what nobody's home is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111
