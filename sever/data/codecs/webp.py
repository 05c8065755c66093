"""WebP: size, orientation and pages from its chunks; knows no other format."""

from __future__ import annotations

import os
import struct
from io import SEEK_CUR
from typing import BinaryIO

from sever.data.codecs import opencv
from sever.data.codecs.header import TRUNCATED, UPRIGHT, Codec, Header
from sever.data.codecs.tiff_tags import exif_orientation

MAGIC = b"RIFF"


def read_header(stream: BinaryIO) -> Header | str:
    stream.seek(0)
    _, length, kind = struct.unpack("<4sI4s", stream.read(12))
    if kind != b"WEBP" or 8 + length > stream.seek(0, os.SEEK_END):
        return TRUNCATED
    size, orientation, frames = None, UPRIGHT, 0
    stream.seek(12)
    while len(head := stream.read(8)) == 8:
        kind, length = struct.unpack("<4sI", head)
        body = stream.read(min(length, 1 << 16 if kind == b"EXIF" else 10))
        size = size or _size(kind, body)
        frames += kind == b"ANMF"
        if kind == b"EXIF":
            orientation = exif_orientation(body.removeprefix(b"Exif\0\0"))
        stream.seek(length - len(body) + length % 2, SEEK_CUR)
    return Header(*size, orientation, max(1, frames)) if size else TRUNCATED


def _size(kind: bytes, body: bytes) -> tuple[int, int] | None:
    """Height and width, in the one of three chunks that comes first."""
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(body[at : at + 3], "little") for at in (4, 7))
        return height, width
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", body, 6)
        return height & 0x3FFF, width & 0x3FFF
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF)
    return None


def find_damage(data: bytes) -> str | None:
    """The format has no checksums: only decoding shows what its decoder notices."""
    return opencv.UNREADABLE if opencv.decode_quietly(data) is None else None


CODEC = Codec(read_header, find_damage, opencv.decode)
