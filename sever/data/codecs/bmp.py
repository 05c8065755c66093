"""BMP: size, and whether all rows are there; the format has no checksums, so other damage can't be noticed."""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

from sever.data.codecs import opencv
from sever.data.codecs.header import TRUNCATED, Codec, Header

MAGIC = b"BM"


def read_header(stream: BinaryIO) -> Header | str:
    stream.seek(0)
    head = stream.read(34)
    file_bytes, pixels_at, header_bytes = struct.unpack_from("<2xI4xII", head)
    layout = "<HHxxH" if header_bytes == 12 else "<iixxHI"  # the former is the OS/2 form, never compressed
    width, height, bits, compression = (*struct.unpack_from(layout, head, 18), 0)[:4]
    row_bytes = (width * bits + 31) // 32 * 4
    # Some programs write a wrong file size, so it is believed only where compression hides the true one.
    needed = pixels_at + row_bytes * abs(height) if compression in (0, 3) else file_bytes
    return Header(abs(height), width) if stream.seek(0, os.SEEK_END) >= needed else TRUNCATED


def find_damage(data: bytes) -> str | None:
    return None


CODEC = Codec(read_header, find_damage, opencv.decode)
