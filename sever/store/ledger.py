"""A file of records that only grows, one JSON object a line; knows not what the records mean.

Whoever adds holds a lock on the file, so that several processes may add at the same time, and a line is written in
one go. A line that can't be read is an error: nothing is left out in silence.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sever.errors import InputError

Record = dict[str, Any]


def read_ledger(path: Path) -> list[Record]:
    """All records, oldest first; none where there is no file. Raises InputError naming a damaged line."""
    if not path.exists():
        return []
    with _locked(path, os.O_RDONLY, fcntl.LOCK_SH) as handle:
        return _read(handle, path)


def append_record(path: Path, make: Callable[[list[Record]], Record]) -> Record:
    """Add the record that `make` returns when it is shown all records so far; nobody else adds in between.

    Raises InputError naming a damaged line, and what `make` raises; then nothing is added.
    """
    return append_records(path, lambda records: [make(records)])[0]


def append_records(path: Path, make: Callable[[list[Record]], list[Record]]) -> list[Record]:
    """Add the records that `make` returns, all or none, as `append_record` adds one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, fcntl.LOCK_EX) as handle:
        records = make(_read(handle, path))
        lines = b"".join(json.dumps(each, ensure_ascii=False, allow_nan=False).encode() + b"\n" for each in records)
        written = os.write(handle, lines)
        if written < len(lines):  # a full disk may take a part: take that back
            os.ftruncate(handle, os.fstat(handle).st_size - written)
            raise OSError(f"{path}: the disk took only {written} of {len(lines)} bytes")
        os.fsync(handle)
    return records


def raise_unless_writable(path: Path) -> None:
    """Raises InputError where a record could not be added, without touching anything."""
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not os.access(there, os.W_OK) or not (path.is_file() if there == path else there.is_dir()):
        raise InputError(f"{path} can't be written to; name another file with --ledger")


@contextmanager
def _locked(path: Path, flags: int, kind: int) -> Iterator[int]:
    if path.is_dir():
        raise InputError(f"{path} is a folder; a ledger is a file")
    handle = os.open(path, flags, 0o644)
    try:
        fcntl.flock(handle, kind)  # let go when the file is closed, also when the process dies
        yield handle
    finally:
        os.close(handle)


def _read(handle: int, path: Path) -> list[Record]:
    with os.fdopen(os.dup(handle), "rb") as stream:
        stream.seek(0)
        content = stream.read()
    lines = content.split(b"\n")
    if lines[-1]:
        raise _damaged(path, len(lines), "it has no end; a write was cut short")
    return [_parse(line, path, number) for number, line in enumerate(lines[:-1], start=1)]


def _parse(line: bytes, path: Path, number: int) -> Record:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise _damaged(path, number, str(error)) from error
    if not isinstance(record, dict):
        raise _damaged(path, number, "it is no JSON object")
    return record


def _damaged(path: Path, number: int, why: str) -> InputError:
    return InputError(f"{path}, line {number} is damaged: {why}. Mend or delete that line; the others are untouched")
