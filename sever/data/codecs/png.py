"""PNG: size, orientation, checksums, and the numbers that a palette image stores; knows no other format."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from io import SEEK_CUR
from typing import BinaryIO

import numpy as np

from sever.data.codecs import opencv
from sever.data.codecs.header import TRUNCATED, UPRIGHT, Codec, Header
from sever.data.codecs.tiff_tags import exif_orientation

MAGIC = b"\x89PNG\r\n\x1a\n"
# What zlib makes of zeros: nothing gets smaller.
_BEST_RATIO = 1032
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # a pixel, by colour type
_PALETTE = 3


def read_header(stream: BinaryIO) -> Header | str:
    stream.seek(12)
    kind, width, height, depth, colour = struct.unpack(">4sIIBB", stream.read(14))
    if kind != b"IHDR" or colour not in _SAMPLES:
        return TRUNCATED
    orientation, pages, packed = UPRIGHT, 1, 0
    stream.seek(len(MAGIC))
    while len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        body = stream.read(length if kind in (b"eXIf", b"acTL") and length < 1 << 16 else 0)
        if kind == b"eXIf":
            orientation = exif_orientation(body)
        if kind == b"acTL" and len(body) >= 4:  # an animated PNG
            pages = max(1, int.from_bytes(body[:4], "big"))
        packed += length if kind == b"IDAT" else 0
        stream.seek(length - len(body) + 4, SEEK_CUR)
    raw = height * (1 + width * depth * _SAMPLES[colour] // 8)
    return Header(height, width, orientation, pages) if raw <= _BEST_RATIO * (packed + 64) else TRUNCATED


def find_damage(data: bytes) -> str | None:
    """Looks at the checksum of every chunk that pixels depend on, up to the end."""
    for kind, body, checksum in _chunks(data):
        is_critical = kind[:1].isupper()
        if len(checksum) < 4 or (is_critical and zlib.crc32(kind + body) != int.from_bytes(checksum, "big")):
            return TRUNCATED
        if kind == b"IEND":
            return None
    return TRUNCATED


def decode(data: bytes) -> np.ndarray | str:
    return find_damage(data) or opencv.decode(data)


def decode_numbers(data: bytes) -> np.ndarray | str:
    """As `decode`, but the numbers that are stored: palette indices, not colours, and 0/1 of a one-bit image."""
    depth, colour = data[24], data[25]
    if damage := find_damage(data):
        return damage
    return opencv.decode(_as_indices(data) if colour == _PALETTE or depth < 8 else data)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Kind, body and checksum of each; short where the file ends too early."""
    position = len(MAGIC)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        yield kind, data[position + 8 : end], data[end : end + 4]
        position = end + 4


def _as_indices(data: bytes) -> bytes:
    """The same PNG with a palette that shows each stored number as itself, since OpenCV paints palettes."""
    depth = data[24]
    header = data[16:25] + bytes([_PALETTE]) + data[26:29]
    palette = bytes(value for index in range(1 << depth) for value in (index,) * 3)
    pixels = [(kind, body) for kind, body, _ in _chunks(data) if kind == b"IDAT"]
    chunks = [(b"IHDR", header), (b"PLTE", palette), *pixels, (b"IEND", b"")]
    return MAGIC + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


CODEC = Codec(read_header, find_damage, decode)
