"""Whether the strips or tiles of a TIFF hold what they should; interprets no pixel.

OpenCV's decoder prints what it notices and goes on. Here each part is decoded by a library that raises: zlib checks its
sum, libjpeg is asked to be strict; LZW and PackBits are checked for making sense.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import NamedTuple

import simplejpeg

from sever.data.codecs.tiff_lzw import lzw_fault
from sever.data.codecs.tiff_tags import Directory

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _FILL_ORDER, _SAMPLES, _PLANAR = 256, 257, 258, 259, 266, 277, 284
_STRIPS, _ROWS, _STRIP_BYTES = 273, 278, 279
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 322, 323, 324, 325
_JPEG_TABLES, _SUBSAMPLING, _PHOTOMETRIC, _YCBCR = 347, 530, 262, 6
_SEPARATE = 2
# Tags of one value each: with more, the decoder would pass over them.
_SINGLE = {
    _WIDTH,
    _HEIGHT,
    _COMPRESSION,
    _PHOTOMETRIC,
    _FILL_ORDER,
    274,
    _SAMPLES,
    _ROWS,
    _PLANAR,
    317,
    _TILE_WIDTH,
    _TILE_HEIGHT,
}


class StripPart(NamedTuple):
    """One strip or tile: its bytes in the file, and how many it should unpack to, in how many rows."""

    packed: bytes
    rows: int
    row_bytes: int


def find_bad_strip(page: Directory) -> str | None:
    """The first part that is damaged, in words; None where none is, or nothing can be said of the compression."""
    if any(page.fields[tag].count != 1 for tag in _SINGLE & page.fields.keys()):
        return "its directory"
    check = _CHECKS.get(page.value(_COMPRESSION, 1))
    if check is None or page.value(_FILL_ORDER, 1) != 1:  # bits the other way round
        return None
    name = "tile" if _TILES in page.fields else "strip"
    for number, part in enumerate(_parts(page), start=1):
        if fault := check(part, page):
            return f"{name} {number}: {fault}"
    return None


def _parts(page: Directory) -> list[StripPart]:
    tiled = _TILES in page.fields
    offsets = page.values(_TILES if tiled else _STRIPS)
    sizes = page.values(_TILE_BYTES if tiled else _STRIP_BYTES)
    height = page.value(_HEIGHT)
    width = page.value(_TILE_WIDTH if tiled else _WIDTH)
    rows = page.value(_TILE_HEIGHT) if tiled else max(1, min(page.value(_ROWS, height), height))
    separate = page.value(_PLANAR, 1) == _SEPARATE
    row_bytes = -(-width * page.value(_BITS, 1) * (1 if separate else page.value(_SAMPLES, 1)) // 8)
    strips_a_plane = math.ceil(height / rows) if rows else 1
    parts = []
    for index, (offset, size) in enumerate(zip(offsets, sizes, strict=False)):
        left = rows if tiled else min(rows, height - index % strips_a_plane * rows)
        parts.append(StripPart(page.data[offset : offset + size], left, row_bytes))
    return parts


def _check_plain(part: StripPart, page: Directory) -> str | None:
    short = part.rows * part.row_bytes - len(part.packed)
    return f"{short} bytes are missing" if short > 0 and not _is_subsampled(page) else None


def _check_deflate(part: StripPart, page: Directory) -> str | None:
    try:
        unpacked = zlib.decompressobj()
        rows = unpacked.decompress(part.packed, part.rows * part.row_bytes + 1)
    except zlib.error as error:
        return str(error)
    if not unpacked.eof or (len(rows) < part.rows * part.row_bytes and not _is_subsampled(page)):
        return "its compressed data end too early"
    return None


def _check_packbits(part: StripPart, page: Directory) -> str | None:
    """Runs must end where the part does."""
    at = unpacked = 0
    wanted = part.rows * part.row_bytes
    while unpacked < wanted and at < len(part.packed):
        code = part.packed[at]
        unpacked += code + 1 if code < 128 else (257 - code if code > 128 else 0)
        at += code + 2 if code < 128 else (2 if code > 128 else 1)
    fits = unpacked == wanted and at <= len(part.packed)
    return None if fits or _is_subsampled(page) else "its runs don't fit its rows"


def _check_jpeg(part: StripPart, page: Directory) -> str | None:
    tables = bytes(page.values(_JPEG_TABLES))
    try:
        simplejpeg.decode_jpeg(
            tables[:-2] + part.packed[2 if tables else 0 :], "GRAY", min_height=1, min_width=1, min_factor=8
        )
    except ValueError as error:
        return str(error)
    return None


def _check_lzw(part: StripPart, page: Directory) -> str | None:
    return None if _is_subsampled(page) else lzw_fault(part.packed, part.rows * part.row_bytes)


def _is_subsampled(page: Directory) -> bool:
    """Colours at a lower resolution: rows have another length then."""
    return page.value(_PHOTOMETRIC) == _YCBCR and page.values(_SUBSAMPLING, (2, 2)) != (1, 1)


_CHECKS: dict[int, Callable[[StripPart, Directory], str | None]] = {
    1: _check_plain,
    5: _check_lzw,
    7: _check_jpeg,
    8: _check_deflate,
    32773: _check_packbits,
    32946: _check_deflate,
}
