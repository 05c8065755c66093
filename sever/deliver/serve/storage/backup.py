"""A whole store as one file, and back: tables as lines of JSON and the images, in a tar that any tool opens.

It is the same for SQLite and PostgreSQL, so a store can move from one to the other. A backup is taken while the service
runs: the tables in one snapshot first, then the images that they name.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import tarfile
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, Engine, Table, func, insert, select, text
from sqlalchemy.exc import StatementError

from sever import __version__
from sever.counted import counted
from sever.deliver.serve.storage.database import current_revision, open_database, usable
from sever.deliver.serve.storage.pictures import DamagedImage, Pictures
from sever.deliver.serve.storage.remote_pictures import RemotePictures, open_pictures
from sever.deliver.serve.storage.store import DATABASE, url_of
from sever.deliver.serve.storage.tables import METADATA, audit, sessions
from sever.deliver.serve.storage.tables import images as image_rows
from sever.errors import InputError
from sever.files import new_file, new_folder
from sever.locks import writes_to
from sever.near_names import missing

LOGGER = logging.getLogger("sever.serve")
ABOUT, END, VERSION = "backup.json", "end.json", 1
ROWS_TOGETHER = 500
# Who is signed in stays out of it.
TABLES = [table for table in METADATA.sorted_tables if table is not sessions]


@writes_to("output", whole=True)
def back_up(folder: Path, url: str | None, output: Path, images: str | None = None) -> dict[str, int]:
    """Write the backup; returns the number of rows and images. Raises InputError where there is no store."""
    if url is None and not (folder / DATABASE).is_file():
        raise InputError(f"{missing(folder / DATABASE, 'file')}; give the store of a `sever serve`")
    engine = open_database(url_of(folder, url))
    with usable(url_of(folder, url)), new_file(output) as temporary, tarfile.open(temporary, "w") as tar:
        counts, kept = _write_tables(engine, tar)
        counts["image files"] = _write_images(open_pictures(folder, images), kept, tar)
        _add(tar, END, json.dumps(counts).encode())  # a tar that was cut short between two members looks whole
    engine.dispose()
    return counts


@writes_to("folder", whole=True)
def restore(source: Path, folder: Path, url: str | None, images: str | None = None) -> dict[str, int]:
    """Fill a new store from a backup. Raises InputError for a store that holds something, and for a damaged file."""
    if not source.is_file():
        raise InputError(
            f"{source} is a folder; give the .tar that `sever serve backup` wrote"
            if source.is_dir()
            else missing(source, "file")
        )
    with new_folder(folder) as made:
        try:
            with tarfile.open(source, "r:") as tar:
                return _restore(tar, source, made, url, images)
        except (tarfile.TarError, ValueError, OverflowError, StatementError) as error:
            if isinstance(error, InputError):
                raise
            why = error.orig if isinstance(error, StatementError) and error.orig else error
            raise InputError(f"{source} is not a whole backup of `sever serve backup`: {why}") from error


def _restore(tar: tarfile.TarFile, source: Path, folder: Path, url: str | None, images: str | None) -> dict[str, int]:
    about = _read_about(tar, source)
    engine = open_database(url_of(folder, url), revision=about["revision"])
    try:
        with engine.begin() as connection:
            _raise_unless_empty(connection)
            counts = _read_members(connection, open_pictures(folder, images), tar)
    finally:
        engine.dispose()
    open_database(url_of(folder, url)).dispose()  # on to this release's tables
    return counts


def _write_tables(engine: Engine, tar: tarfile.TarFile) -> tuple[dict[str, int], set[str]]:
    """The number of rows of each, and the digests of the images that are kept by them."""
    level = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    counts = {}
    with engine.connect().execution_options(**level) as connection, connection.begin():
        about = {"version": VERSION, "sever": __version__, "revision": current_revision(connection)}
        _add(tar, ABOUT, json.dumps(about).encode())
        for table in TABLES:
            counts[table.name] = _write_table(connection, table, tar)
        kept = set(connection.scalars(select(image_rows.c.sha256).where(image_rows.c.dropped.is_(None))))
    return counts, kept


def _write_table(connection: Connection, table: Table, tar: tarfile.TarFile) -> int:
    """By way of a file: a year of answers is larger than the memory, and a tar wants a member's size first."""
    count = 0
    with tempfile.TemporaryFile(dir=Path(str(tar.name)).parent) as lines:
        rows = connection.execute(select(table).execution_options(yield_per=ROWS_TOGETHER)).mappings()
        for count, row in enumerate(rows, 1):  # noqa: B007  # the last one is the number of rows
            lines.write(json.dumps(dict(row)).encode() + b"\n")
        member = tarfile.TarInfo(f"tables/{table.name}.jsonl")
        member.size = lines.tell()
        lines.seek(0)
        tar.addfile(member, lines)
    return count


def _write_images(pictures: Pictures | RemotePictures, kept: set[str], tar: tarfile.TarFile) -> int:
    """`kept`: those that should be there. Raises InputError where there is no place for images, as of a wrong name."""
    if kept and not pictures.is_there():
        raise InputError(
            f"there is nothing at {pictures.where}, but the tables name {counted(len(kept), 'image')}; say in the "
            "service's settings (-c, `images`) where they are, or make this folder to back up without them"
        )
    if lost := kept - set(pictures):
        LOGGER.warning(
            "%s of %d that the tables name %s not at %s; the backup continues without",
            *(counted(len(lost), "image"), len(kept), "is" if len(lost) == 1 else "are", pictures.where),
        )
    count = 0
    for digest in sorted(pictures):
        try:
            data = pictures.read(digest)
        except DamagedImage as error:
            LOGGER.warning("%s; the backup continues without it", error)
            continue
        if data is not None:  # retention may take one away meanwhile
            _add(tar, f"images/{digest}", data)
            count += 1
    return count


def _read_about(tar: tarfile.TarFile, source: Path) -> dict[str, Any]:
    member = tar.next()
    if member is None or member.name != ABOUT:
        raise InputError(f"{source} was not written by `sever serve backup`: it does not begin with {ABOUT}")
    about = _parse(_content(tar, member), ABOUT)
    if not isinstance(about, dict) or about.get("version") != VERSION:
        other = about.get("sever") if isinstance(about, dict) else None
        raise InputError(f"{source} is a backup of another release of sever ({other}): take that one")
    if not isinstance(about.get("revision"), str):
        raise ValueError(f"{ABOUT} names no revision of the tables")
    return about


def _read_members(connection: Connection, pictures: Pictures | RemotePictures, tar: tarfile.TarFile) -> dict[str, int]:
    counts, told = {"image files": 0}, None
    while (member := tar.next()) is not None:
        kind, _, name = member.name.partition("/")
        if kind == "tables":
            lines = _lines(_file(tar, member), member)
            counts[name.removesuffix(".jsonl")] = _read_table(connection, name.removesuffix(".jsonl"), lines)
            continue
        content = _content(tar, member)
        if member.name == END:
            told = _parse(content, END)
        elif kind != "images" or hashlib.sha256(content).hexdigest() != name:
            raise ValueError(f"{member.name} is damaged: its content does not match its name")
        else:
            pictures.keep(content)
            counts["image files"] += 1
    if counts != told:
        raise ValueError(f"it holds {counts}, and should hold {told}")
    return counts


def _read_table(connection: Connection, name: str, lines: Iterator[bytes]) -> int:
    table, count = METADATA.tables.get(name), 0
    if table is None:
        raise ValueError(f"there is no table {name!r}")
    for rows in _in_parts(lines, name, set(table.c.keys())):
        connection.execute(insert(table), rows)
        count += len(rows)
    if count and connection.dialect.name == "postgresql" and "id" in table.c:
        highest = connection.execute(select(func.max(table.c.id))).scalar_one()
        place = text("SELECT setval(pg_get_serial_sequence(:name, 'id'), :highest)")
        connection.execute(place, {"name": name, "highest": highest})
    return count


def _in_parts(lines: Iterator[bytes], name: str, columns: set[str]) -> Iterator[list[dict[str, Any]]]:
    while part := list(islice(lines, ROWS_TOGETHER)):
        rows = [_parse(line, f"a row of {name}") for line in part]
        if not all(isinstance(row, dict) and row.keys() <= columns and row.keys() == rows[0].keys() for row in rows):
            raise ValueError(f"a row of {name} has other columns than the table")
        yield rows


def _parse(content: bytes, what: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{what} is not valid JSON: {error}") from error


def _raise_unless_empty(connection: Connection) -> None:
    if connection.execute(select(audit.c.id).limit(1)).first() is not None:
        raise InputError("the database holds something already; a backup is restored into a new one")


def _file(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file: IO[bytes] | None = None if member.issparse() or not member.isfile() else tar.extractfile(member)
    if file is None:  # of a sparse one a few bytes may stand for gigabytes
        raise ValueError(f"{member.name} is not a regular file")
    return file


def _lines(file: IO[bytes], member: tarfile.TarInfo) -> Iterator[bytes]:
    read = 0
    for line in file:
        read += len(line)
        yield line
    if read != member.size:
        raise ValueError(f"{member.name} is cut short")


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = _file(tar, member).read()
    if len(content) != member.size:
        raise ValueError(f"{member.name} is cut short")
    return content


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
