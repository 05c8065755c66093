"""TIFF: size, orientation, pages, and pixels as they are stored; knows no other format.

The decoder has ideas of its own: it turns pictures by their tag and multiplies colours by their alpha. So these tags
are overwritten in memory before it sees the file.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

import numpy as np

from sever.data.codecs import opencv
from sever.data.codecs.header import TRUNCATED, UPRIGHT, Codec, Header
from sever.data.codecs.tiff_strips import find_bad_strip
from sever.data.codecs.tiff_tags import ORIENTATION, Directory, read_directories

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, EXTRA_SAMPLES, SUBFILE = 256, 257, 258, 259, 262, 338, 254
# What the decoder can read (of others it may make up pixels); of the rest, these have a name.
_READABLE = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946})
_NAMES = {
    33003: "JPEG 2000",
    33005: "JPEG 2000", 34676: "SGI LogLuv", 34677: "SGI LogLuv", 34712: "JPEG 2000", 34887: "LERC", 34925: "LZMA",
    34933: "PNG", 50000: "zstd", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
# Bits of SUBFILE: a smaller version of another page, or a mask for one.
_NO_PAGE = 1 | 4
_UNASSOCIATED, _ASSOCIATED = 2, 1
_WHITE_IS_ZERO = 0
_DEPTHS = frozenset({1, 8, 10, 12, 14, 16, 32, 64})  # the last two are refused for what they hold


def read_header(stream: BinaryIO) -> Header | str:
    stream.seek(0)
    directories = read_directories(stream.read())
    if not directories:
        return TRUNCATED
    first = directories[0]
    pages = sum(not page.value(SUBFILE) & _NO_PAGE for page in directories)
    turned = first.value(ORIENTATION, UPRIGHT)
    return Header(first.value(HEIGHT), first.value(WIDTH), turned if 1 <= turned <= 8 else UPRIGHT, max(1, pages))


def find_damage(data: bytes) -> str | None:
    """Parts may lie in any order and have no checksums, so only decoding shows whether they make sense."""
    decoded = decode(data)
    return decoded if isinstance(decoded, str) else None


def decode(data: bytes) -> np.ndarray | str:
    first = read_directories(data)[0]
    if fault := _kind_fault(first):
        return fault
    # The decoder prints what it notices and goes on, so that its pixels alone are no proof.
    if damage := find_bad_strip(first):
        return f"is damaged ({damage}); copy it again from its source"
    pixels = opencv.decode_quietly(_as_stored(data, first))
    if pixels is None:
        return opencv.UNREADABLE
    if pixels.dtype not in (np.uint8, np.uint16):
        return f"has {pixels.dtype} pixels; save it with whole numbers of 8 or 16 bits"
    return _as_other_depths(pixels, first)


def _as_other_depths(pixels: np.ndarray, first: Directory) -> np.ndarray:
    """What the decoder does for 8 bits alone, or not at all."""
    if pixels.dtype == np.uint8:
        return pixels
    if first.value(PHOTOMETRIC) == _WHITE_IS_ZERO and PHOTOMETRIC in first.fields:
        pixels = ~pixels
    if first.value(BITS, 1) < 16:  # packed in 10, 12 or 14 bits, all of them significant, and scaled to 16
        return (pixels >> 8).astype(np.uint8)
    return pixels


def _as_stored(data: bytes, first: Directory) -> bytes:
    """The same file, upright and with an alpha that is already multiplied in, so that it is not done again."""
    if first.value(ORIENTATION, UPRIGHT) == UPRIGHT and _UNASSOCIATED not in first.values(EXTRA_SAMPLES):
        return data
    changed = bytearray(data)
    wanted = {
        ORIENTATION: (UPRIGHT,),
        EXTRA_SAMPLES: tuple(_ASSOCIATED if kind == _UNASSOCIATED else kind for kind in first.values(EXTRA_SAMPLES)),
    }
    for tag, values in wanted.items():
        if tag in first.fields:
            field = first.fields[tag]
            values = values[: field.count]
            struct.pack_into(f"{first.order}{len(values)}{field.letter}", changed, field.position, *values)
    return bytes(changed)


def _kind_fault(first: Directory) -> str | None:
    compression, bits = first.value(COMPRESSION, 1), first.value(BITS, 1)
    if compression not in _READABLE:
        name = _NAMES.get(compression, "an unknown method")
        return (
            f"is compressed with {name} (TIFF compression {compression}), which can't be read here; save it with LZW, "
            "deflate or no compression"
        )
    if bits not in _DEPTHS:
        return f"has {bits} bits a value, which can't be read here; save it with 8 or 16 bits"
    return None


CODEC = Codec(read_header, find_damage, decode)
