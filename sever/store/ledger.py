"""A file of records that only grows, one JSON object a line; knows not what the records mean.

Whoever adds holds a lock on the file, so that several processes may add at the same time, and a line is written in
one go. A line that can't be read is an error: nothing is left out in silence.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sever.errors import InputError
from sever.files import naming
from sever.locks import taking_turns
from sever.near_names import unreadable
from sever.reading import MOST_JSON_BYTES, parse_json, read_at_most
from sever.seals import NOTES, note_rows, rows_of

Record = dict[str, Any]


def read_ledger(path: Path) -> list[Record]:
    """All records, oldest first; none where there is no file. Raises InputError naming a damaged line."""
    records = _read(path)
    if len(records) < rows_of(path):
        # Whoever adds writes the line first and notes it then: what is noted is there.
        raise InputError(
            f"{path} has {len(records)} of {rows_of(path)} records: the last ones were cut off; restore it from a "
            f"copy, or, if you took lines out on purpose, delete its entry in {path.with_name(NOTES)}"
        )
    return records


def append_record(path: Path, make: Callable[[list[Record]], Record]) -> Record:
    """Add the record that `make` returns when it is shown all records so far; nobody else adds in between.

    Raises InputError naming a damaged line, and what `make` raises; then nothing is added.
    """
    return append_records(path, lambda records: [make(records)])[0]


def append_records(path: Path, make: Callable[[list[Record]], list[Record]]) -> list[Record]:
    """Add the records that `make` returns, all or none, as `append_record` adds one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with taking_turns(path):
        before = read_ledger(path)
        records = make(before)
        _append(
            path, b"".join(json.dumps(each, ensure_ascii=False, allow_nan=False).encode() + b"\n" for each in records)
        )
        note_rows(path, len(before) + len(records))
    return records


def _append(path: Path, line: bytes) -> None:
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        with naming(path):
            written = os.write(handle, line)
            if written < len(line):  # a full disk may take a part: take that back
                os.ftruncate(handle, os.fstat(handle).st_size - written)
                raise OSError(errno.ENOSPC, f"the disk took only {written} of {len(line)} bytes")
            os.fsync(handle)
    finally:
        os.close(handle)


def raise_unless_writable(path: Path) -> None:
    """Raises InputError where a record could not be added, without touching anything."""
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not os.access(there, os.W_OK) or not (path.is_file() if there == path else there.is_dir()):
        raise InputError(f"{path} can't be written to; name another file with --ledger")


def _read(path: Path) -> list[Record]:
    if path.is_dir():
        raise InputError(f"{path} is a folder; a ledger is a file")
    lines = _content(path).split(b"\n") if path.exists() else [b""]
    if lines[-1]:
        raise _damaged(path, len(lines), "it has no end; a write was cut short")
    return [_parse(line, path, number) for number, line in enumerate(lines[:-1], start=1)]


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = read_at_most(file, MOST_JSON_BYTES + 1)
    except OSError as error:
        raise InputError(unreadable(path, error)) from error
    if len(content) > MOST_JSON_BYTES:
        raise InputError(f"{path} is too large: more than {MOST_JSON_BYTES >> 20} MiB; is it the right file?")
    return content


def _parse(line: bytes, path: Path, number: int) -> Record:
    try:
        record = parse_json(line.decode("utf-8"), f"{path}, line {number}")
    except (InputError, UnicodeDecodeError) as error:
        raise _damaged(path, number, str(error)) from error
    if not isinstance(record, dict):
        raise _damaged(path, number, "it is not a JSON object")
    return record


def _damaged(path: Path, number: int, why: str) -> InputError:
    return InputError(f"{path}, line {number} is damaged: {why}. Mend or delete that line; the others are untouched")
