"""Which of several folders was made last: by a number that each was given when it was made, for clocks go back.

saved/NAME/TIMESTAMP/created.json   number, one more than the highest beside it; and the time, for people
"""

from __future__ import annotations

import os
import re
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from sever.errors import InputError
from sever.locks import taking_turns
from sever.near_names import unreadable
from sever.records import Count, Record
from sever.walking import entries

CREATED = "created.json"


class CreatedRecord(Record):
    what_to_do: ClassVar[str] = "delete it, and the folder counts as older than those that have one"

    number: Count
    time: str


def make_numbered(parent: Path, stamp: str) -> Path:
    """A new folder PARENT/STAMP, or STAMP-1 and so on where that is taken, numbered above all beside it."""
    with taking_turns(parent / "runs"):
        number = highest_number(parent) + 1
        attempt = 0
        while (folder := parent / (f"{stamp}-{attempt}" if attempt else stamp)).exists():
            attempt += 1
        folder.mkdir(parents=True)
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        CreatedRecord(number=number, time=now).write(folder / CREATED)
    return folder


def number_of(folder: Path) -> int:
    """0 for a folder that was made before they were numbered. Raises InputError for a damaged record."""
    file = folder / CREATED
    return CreatedRecord.read(file).number if file.is_file() else 0


def highest_number(parent: Path) -> int:
    return max(map(number_of, _folders_with(parent, CREATED)), default=0)


def in_order(parent: Path, marker: str) -> list[Path]:
    """The folders in `parent` that hold a file `marker`, the newest last; unnumbered ones first, by their names."""
    return sorted(_folders_with(parent, marker), key=lambda folder: (number_of(folder), _natural(folder.name)))


def _folders_with(parent: Path, marker: str) -> list[Path]:
    """Raises InputError for a folder that can't be looked into: it may be the newest of all."""
    try:
        return [folder for folder in entries(parent) if (folder / marker).is_file()]
    except PermissionError as error:
        raise InputError(unreadable(Path(os.fsdecode(error.filename)), error)) from error


def _natural(name: str) -> list[tuple[int, str]]:
    """Numbers by their value: `-10` comes after `-2`."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"([0-9]{1,18})", name)]
