"""JPEG: size, orientation, and damage in the entropy-coded data; knows no other format.

libjpeg goes on after damage with made-up pixels and prints a warning without a file's name. The same library, called
through simplejpeg, raises instead. Its pixels are OpenCV's, bit for bit (a test compares them).
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

import numpy as np
import simplejpeg

from sever.data.codecs import opencv
from sever.data.codecs.header import TRUNCATED, UPRIGHT, Codec, Header
from sever.data.codecs.tiff_tags import exif_orientation

MAGIC = b"\xff\xd8"
_END = b"\xff\xd9"
# Start-of-frame markers, which hold the size; 0xC4, 0xC8 and 0xCC in their midst are other things.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_HUFFMAN_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_SCAN, _APP1 = 0xDA, 0xE1
_EXIF = b"Exif\0\0"
# Where an end marker usually is; whoever appends more than this after it makes us read the whole file.
_TAIL_BYTES = 1024
# Of what libjpeg complains, these don't touch pixels.
_HARMLESS = (
    "Corrupt JPEG data: bad ICC marker",
    "Invalid SOS parameters for sequential JPEG",
    "Unknown Adobe color transform code",
    "Warning: unknown JFIF revision",
)
_COLOUR_SPACES = {"Gray": "GRAY", "YCbCr": "BGR"}


def read_header(stream: BinaryIO) -> Header | str:
    header, orientation, position = Header(0, 0), UPRIGHT, 2
    while True:
        stream.seek(position)
        fill, marker, length = struct.unpack(">BBH", stream.read(4))
        if fill != 0xFF:
            return TRUNCATED
        if marker == 0xFF:  # markers may be padded with any number of 0xFF
            position += 1
            continue
        if marker == _APP1 and stream.read(len(_EXIF)) == _EXIF:
            orientation = exif_orientation(stream.read(max(0, length - 2 - len(_EXIF))))
        if marker in _FRAMES:
            height, width, components = struct.unpack(">xHHB", stream.read(6))
            header = Header(height, width)
            if marker in _HUFFMAN_FRAMES and _claims_too_much(stream, header, components):
                return TRUNCATED
        if marker == _SCAN:
            # Only behind the scan: an embedded preview has an end marker of its own.
            whole = _has_behind(stream, position, _END)
            return Header(header.height, header.width, orientation) if whole else TRUNCATED
        position += 2 + length


def find_damage(data: bytes) -> str | None:
    """Decodes at an eighth of the size: all codes are read, and most of the arithmetic is left out."""
    try:
        simplejpeg.decode_jpeg(data, "GRAY", min_height=1, min_width=1, min_factor=8)
    except ValueError as error:
        return _as_damage(error)
    return None


def decode(data: bytes) -> np.ndarray | str:
    try:
        colour_space = _COLOUR_SPACES.get(simplejpeg.decode_jpeg_header(data, strict=False)[2])
        if colour_space is None:  # CMYK and the like, which OpenCV brings to RGB in its own way
            return find_damage(data) or opencv.decode(data)
        pixels = _decode(data, colour_space)
    except ValueError as error:
        return _as_damage(error) or opencv.UNREADABLE
    return pixels[..., 0] if colour_space == "GRAY" else pixels


def _decode(data: bytes, colour_space: str) -> np.ndarray:
    """Raises ValueError for whatever libjpeg complains of, but for what is harmless."""
    try:
        return simplejpeg.decode_jpeg(data, colour_space)
    except ValueError as error:
        if _as_damage(error):
            raise
        return simplejpeg.decode_jpeg(data, colour_space, strict=False)


def _as_damage(error: ValueError) -> str | None:
    words = str(error)
    return None if words.startswith(_HARMLESS) else f"is damaged ({words}); copy it again from its source"


def _claims_too_much(stream: BinaryIO, header: Header, components: int) -> bool:
    """Whether the file is too small for its size in pixels: a unit of blocks takes at least one bit."""
    sampling = stream.read(3 * components)[1::3]
    columns = 8 * max((factors >> 4 for factors in sampling), default=1)
    rows = 8 * max((factors & 15 for factors in sampling), default=1)
    units = -(-header.width // max(columns, 8)) * -(-header.height // max(rows, 8))
    return units > 8 * stream.seek(0, os.SEEK_END)


def _has_behind(stream: BinaryIO, position: int, marker: bytes) -> bool:
    end = stream.seek(0, os.SEEK_END)
    stream.seek(max(position, end - _TAIL_BYTES))
    if marker in stream.read():
        return True
    stream.seek(position)
    return marker in stream.read()


CODEC = Codec(read_header, find_damage, decode)
