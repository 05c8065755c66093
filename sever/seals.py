"""What the tables of a folder must hold, noted beside them, so that half a table is never taken for a whole one.

.sever-tables.json in the folder names each CSV that we wrote there with its number of rows and its SHA-256. A table
without an entry is taken as it is: it is a person's, or older than these notes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from sever.errors import InputError
from sever.files import atomic_path, is_temporary
from sever.near_names import unreadable
from sever.records import Count, Part, Record, Sha256

NOTES = ".sever-tables.json"


class SealRecord(Part):
    """Rows below the heading, and the digests that the file may have: two while it is being replaced."""

    rows: Count
    sha256: Annotated[tuple[Sha256, ...], Field(max_length=2)] = ()


class TablesRecord(Record):
    """.sever-tables.json."""

    what_to_do: ClassVar[str] = "delete it, and the tables beside it are read unchecked"

    tables: dict[str, SealRecord]


@contextmanager
def sealed_path(path: Path) -> Iterator[Path]:
    """As `atomic_path`, for a table whose rows are noted in .sever-tables.json.

    The note comes first and allows the table of before, too: killed in between, either is right.
    """
    with atomic_path(path) as temporary:
        yield temporary
        if is_temporary(path):  # whoever gives it its name notes it
            return
        content = temporary.read_bytes()
        new = SealRecord(rows=_count_rows(content), sha256=(_digest(content),))
        before = _seal_of(path)
        if before is not None and path.is_file():
            _note(path, SealRecord(rows=min(before.rows, new.rows), sha256=(*new.sha256, *before.sha256[:1])))
        else:
            _note(path, new)
    if _seal_of(path) != new:
        _note(path, new)


def read_sealed(path: Path) -> bytes:
    """The content of a table that only we write. Raises InputError where it can't be read, or is not as we wrote it."""
    content = _read(path)
    seal = _seal_of(path)
    if seal is not None and _digest(content) not in seal.sha256:
        raise _broken(path, content, seal)
    return content


def raise_if_short(path: Path) -> None:
    """For a table that a person may edit, such as labels: rows may change or be added, but none may be missing.

    Raises InputError for one that has fewer rows than we wrote, or whose last row was cut.
    """
    seal = _seal_of(path)
    if seal is None or not path.is_file():
        return
    content = _read(path)
    if _digest(content) not in seal.sha256 and (_count_rows(content) < seal.rows or not content.endswith(b"\n")):
        raise _broken(path, content, seal)


def remove_sealed(path: Path) -> None:
    """Delete a table and its note, where they are there."""
    path.unlink(missing_ok=True)
    notes = path.with_name(NOTES)
    known = TablesRecord.read(notes).tables if notes.is_file() else {}
    left = {name: seal for name, seal in known.items() if name != path.name}
    if left:
        TablesRecord(tables=left).write(notes)
    else:
        notes.unlink(missing_ok=True)


def note_rows(path: Path, rows: int) -> None:
    """Note that a table which only grows has so many rows by now."""
    _note(path, SealRecord(rows=rows))


def rows_of(path: Path) -> int:
    """How many rows were noted; 0 where nothing was."""
    seal = _seal_of(path)
    return 0 if seal is None else seal.rows


def _broken(path: Path, content: bytes, seal: SealRecord) -> InputError:
    rows = _count_rows(content)
    found = f"it has {rows} of {seal.rows} rows" if rows < seal.rows else "its content has changed"
    return InputError(
        f"{path} is not as sever wrote it: {found}; restore it, or have it written again. If you changed it on "
        f"purpose, delete its entry in {path.with_name(NOTES)}"
    )


def _seal_of(path: Path) -> SealRecord | None:
    notes = path.with_name(NOTES)
    return TablesRecord.read(notes).tables.get(path.name) if notes.is_file() else None


def _note(path: Path, seal: SealRecord) -> None:
    notes = path.with_name(NOTES)
    known = TablesRecord.read(notes).tables if notes.is_file() else {}
    TablesRecord(tables=known | {path.name: seal}).write(notes)


def _count_rows(content: bytes) -> int:
    return max(0, content.count(b"\n") - 1)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(unreadable(path, error)) from error
