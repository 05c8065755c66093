"""The tags of a TIFF, and of the small TIFF that holds EXIF in other formats; decodes no pixel."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from sever.data.codecs.header import UPRIGHT

MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
ORIENTATION = 274
# struct's letter for each type of value; fractions and text aren't needed here.
_TYPES = {1: "B", 3: "H", 4: "I", 7: "B", 13: "I", 16: "Q", 18: "Q"}
# More pages than this are no picture, but a loop or damage.
_MOST_PAGES = 65_536


@dataclass(frozen=True)
class Field:
    """Where the values of one tag lie in the file."""

    letter: str
    count: int
    position: int


@dataclass(frozen=True)
class Directory:
    """One page: its tags, whose values are read from `data` when asked for."""

    data: bytes
    order: str  # "<" or ">"
    fields: dict[int, Field]

    def values(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        field = self.fields.get(tag)
        if field is None:
            return default
        return struct.unpack_from(f"{self.order}{field.count}{field.letter}", self.data, field.position)

    def value(self, tag: int, default: int = 0) -> int:
        return (*self.values(tag), default)[0]


def read_directories(data: bytes) -> list[Directory]:
    """All pages, up to where the chain ends or leaves the file. Raises struct.error without a first one."""
    order = "<" if data[:2] == b"II" else ">"
    is_big = data[2:4] in (b"+\0", b"\0+")
    (offset,) = struct.unpack_from(f"{order}{'Q' if is_big else 'I'}", data, 8 if is_big else 4)
    directories, seen = list[Directory](), set[int]()
    while offset and offset not in seen and len(seen) < _MOST_PAGES:
        seen.add(offset)
        try:
            directory, offset = _read_directory(data, order, is_big, offset)
        except struct.error:
            if not directories:
                raise
            break
        directories.append(directory)
    return directories


def exif_orientation(exif: bytes) -> int:
    """How a picture is to be turned, as EXIF counts; upright where nothing, or nonsense, is said."""
    if exif[:4] not in MAGICS:
        return UPRIGHT
    try:
        directories = read_directories(exif)
        turned = directories[0].value(ORIENTATION, UPRIGHT) if directories else UPRIGHT
    except struct.error:
        return UPRIGHT
    return turned if 1 <= turned <= 8 else UPRIGHT


def _read_directory(data: bytes, order: str, is_big: bool, offset: int) -> tuple[Directory, int]:
    """One page, and where the next one lies (0: nowhere)."""
    length, entry, inline = ("Q", "HHQ", 8) if is_big else ("H", "HHI", 4)
    (entries,) = struct.unpack_from(order + length, data, offset)
    size = struct.calcsize(order + entry) + inline
    first = offset + struct.calcsize(order + length)
    if first + entries * size > len(data):
        raise struct.error("the directory leaves the file")
    fields = {}
    for at in range(first, first + entries * size, size):
        tag, kind, count = struct.unpack_from(order + entry, data, at)
        if kind not in _TYPES:
            continue
        position = at + size - inline
        if struct.calcsize(order + _TYPES[kind]) * count > inline:
            (position,) = struct.unpack_from(f"{order}{'Q' if is_big else 'I'}", data, position)
        if position + struct.calcsize(order + _TYPES[kind]) * count <= len(data):
            fields[tag] = Field(_TYPES[kind], count, position)
    (following,) = struct.unpack_from(f"{order}{'Q' if is_big else 'I'}", data, first + entries * size)
    return Directory(data, order, fields), following
