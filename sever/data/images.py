"""Image files to pixels: which there are, how large, what they show; knows no labels and no layouts.

OpenCV may give half a picture for a file that was cut short, so the end of every file is looked at before its
pixels are believed. A file counts as what its first bytes say it is, whatever its suffix.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from sever.errors import InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")

_PNG_START = b"\x89PNG\r\n\x1a\n"
_JPEG_END = b"\xff\xd9"
# Start-of-frame markers, which hold the size; 0xC4, 0xC8 and 0xCC in their midst are other things.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SCAN = 0xDA
# Where an end marker usually is; whoever appends more than this after it makes us read the whole file.
_TAIL_BYTES = 1024

# Height and width, or what is wrong.
Measured = tuple[int, int] | str
_TRUNCATED = "is truncated or damaged; copy it again from its source"


def list_images(folder: Path) -> list[Path]:
    """All images below a folder, sorted by path in posix form; hidden files and folders are left out."""
    found = []
    for current, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if _is_loop(Path(current), folder):
            folders.clear()
            continue
        found += [
            f"{current}/{name}" for name in names if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")
        ]
    return [Path(name) for name in sorted(found)]


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width in pixels, from the header. Raises InputError for an unreadable or truncated file.

    A PNG's checksums are looked at too, so that a damaged one is told before the work and not in its midst.
    """
    try:
        with Path(path).open("rb") as stream:
            return _measure(stream, path)
    except OSError as error:
        raise InputError(f"image {path} can't be read: {error.strerror or error}") from error


def read_image(path: str | Path, channels: int, significant_bits: int = 16) -> np.ndarray:
    """Pixels (H, W, channels) uint8, RGB or grey by luminance, as they lie in the file (no turning by EXIF).

    `significant_bits` says how many bits of a 16-bit image carry the signal; 8-bit images stay as they are.
    Alpha is dropped. Raises InputError for an unreadable or truncated file.
    """
    if channels not in (1, 3):
        raise InputError(f"an image is read with 1 or 3 channels, not {channels}")
    data = _read_bytes(path)
    size = _measure(io.BytesIO(data), path)
    pixels = _to_8_bit(_decode(data, path), significant_bits, path)
    if pixels.shape[:2] != size:
        raise InputError(f"image {path} is damaged: its header says {size}, its pixels are {pixels.shape[:2]}")
    return _CONVERT[channels](pixels)


def to_grey(image_hwc: np.ndarray) -> np.ndarray:
    """(H, W, 3) RGB to (H, W, 1), by the luminance that `read_image` uses too."""
    return cv2.cvtColor(image_hwc, cv2.COLOR_RGB2GRAY)[..., None]


def read_label_map(path: str | Path) -> np.ndarray:
    """The stored numbers (H, W) of a PNG label map: palette indices, not colours, and 0/1 of a one-bit mask.

    Raises InputError for an unreadable or truncated file, one that is no PNG, and one with true colours.
    """
    data = _read_bytes(path)
    if not data.startswith(_PNG_START):
        raise InputError(f"mask {path} is no PNG; label maps are 8-bit PNG files")
    size = _measure(io.BytesIO(data), path)
    depth, colour_type = data[24], data[25]
    labels = _decode(_as_indices(data, path) if colour_type == 3 or depth < 8 else data, path)
    if labels.ndim == 3:
        if (labels[..., :3] != labels[..., :1]).any():
            raise InputError(f"mask {path} is a colour picture; a mask holds one number a pixel, the class")
        labels = labels[..., 0]
    if labels.shape != size:
        raise InputError(f"mask {path} is damaged: its header says {size}, its pixels are {labels.shape}")
    return labels


def _is_loop(current: Path, top: Path) -> bool:
    """Whether a link leads from `current` back to a folder above it."""
    if not current.is_symlink() or current == top:
        return False
    real = current.resolve()
    return any(parent.resolve() == real for parent in current.parents)


def _read_bytes(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"image {path} can't be read: {error.strerror or error}") from error


def _measure(stream: BinaryIO, path: str | Path) -> tuple[int, int]:
    """Height and width by the header, after a look at the end of the file."""
    start = stream.read(8)
    if not start:
        raise InputError(f"image {path} is empty: the file has 0 bytes")
    for magic, measure in _FORMATS.items():
        if start.startswith(magic):
            try:
                size = measure(stream)
            except struct.error:
                size = _TRUNCATED
            if isinstance(size, str):
                raise InputError(f"image {path} {size}")
            if min(size) < 1:
                raise InputError(f"image {path} is damaged: by its header it is {size[1]} x {size[0]} pixels")
            return size
    raise InputError(f"{path} is no image that can be read: it is neither JPEG, PNG, BMP nor TIFF inside")


def _measure_jpeg(stream: BinaryIO) -> Measured:
    size = (0, 0)
    position = 2
    while True:
        stream.seek(position)
        fill, marker, length = struct.unpack(">BBH", stream.read(4))
        if fill != 0xFF:
            return _TRUNCATED
        if marker == 0xFF:  # markers may be padded with any number of 0xFF
            position += 1
            continue
        if marker in _JPEG_FRAMES:
            size = struct.unpack(">xHH", stream.read(5))
        if marker == _JPEG_SCAN:
            # Only behind the scan: an embedded preview has an end marker of its own.
            return size if _has_behind(stream, position, _JPEG_END) else _TRUNCATED
        position += 2 + length


def _measure_png(stream: BinaryIO) -> Measured:
    stream.seek(12)
    kind, width, height = struct.unpack(">4sII", stream.read(12))
    return (height, width) if kind == b"IHDR" and _png_is_whole(stream) else _TRUNCATED


def _png_is_whole(stream: BinaryIO) -> bool:
    """Whether every chunk that pixels depend on has its checksum, up to the end: finds damage in the middle too."""
    stream.seek(len(_PNG_START))
    while len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        body, checksum = stream.read(length), stream.read(4)
        is_critical = kind[:1].isupper()
        if len(checksum) < 4 or (is_critical and zlib.crc32(kind + body) != int.from_bytes(checksum, "big")):
            return False
        if kind == b"IEND":
            return True
    return False


def _measure_bmp(stream: BinaryIO) -> Measured:
    stream.seek(0)
    head = stream.read(34)
    file_bytes, pixels_at, header_bytes = struct.unpack_from("<2xI4xII", head)
    layout = "<HHxxH" if header_bytes == 12 else "<iixxHI"  # the former is the OS/2 form, never compressed
    width, height, bits, compression = (*struct.unpack_from(layout, head, 18), 0)[:4]
    row_bytes = (width * bits + 31) // 32 * 4
    # Some programs write a wrong file size, so it is believed only where compression hides the true one.
    needed = pixels_at + row_bytes * abs(height) if compression in (0, 3) else file_bytes
    return (abs(height), width) if stream.seek(0, os.SEEK_END) >= needed else _TRUNCATED


def _measure_tiff(stream: BinaryIO) -> Measured:
    # A TIFF may hold its parts in any order, so only reading it all shows whether it is whole.
    stream.seek(0)
    pixels = _decode_quietly(stream.read())
    if pixels is None:
        return _TRUNCATED
    return _depth_fault(pixels) or (pixels.shape[0], pixels.shape[1])


_FORMATS: dict[bytes, Callable[[BinaryIO], Measured]] = {
    b"\xff\xd8": _measure_jpeg,
    _PNG_START: _measure_png,
    b"BM": _measure_bmp,
    b"II*\0": _measure_tiff,
    b"MM\0*": _measure_tiff,
    b"II+\0": _measure_tiff,
    b"MM\0+": _measure_tiff,
}


def _has_behind(stream: BinaryIO, position: int, marker: bytes) -> bool:
    end = stream.seek(0, os.SEEK_END)
    stream.seek(max(position, end - _TAIL_BYTES))
    if marker in stream.read():
        return True
    stream.seek(position)
    return marker in stream.read()


def _decode(data: bytes, path: str | Path) -> np.ndarray:
    pixels = _decode_quietly(data)
    if pixels is None:
        raise InputError(f"image {path} can't be decoded: it is damaged or of a rare kind; save it again")
    return pixels


def _decode_quietly(data: bytes) -> np.ndarray | None:
    with _silent_opencv():
        try:
            return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error:
            return None


@contextmanager
def _silent_opencv() -> Iterator[None]:
    """OpenCV would tell a person at the terminal, in its own words, what our errors say already."""
    logging = cv2.utils.logging
    # Threads may put the level back in another order than they took it; no lock for that, since one that is
    # held while a data loader forks would stop its children for good.
    level = logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(level)


def _depth_fault(pixels: np.ndarray) -> str | None:
    if pixels.dtype in (np.uint8, np.uint16):
        return None
    return f"has {pixels.dtype} pixels; save it with whole numbers of 8 or 16 bits"


def _to_8_bit(pixels: np.ndarray, significant_bits: int, path: str | Path) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    if fault := _depth_fault(pixels):
        raise InputError(f"image {path} {fault}")
    return np.minimum(pixels >> (significant_bits - 8), 255).astype(np.uint8)


def _to_grey(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(np.ascontiguousarray(pixels[..., :3]), cv2.COLOR_BGR2GRAY)
    return pixels[..., None]


def _to_rgb(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 2:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGB)


_CONVERT: dict[int, Callable[[np.ndarray], np.ndarray]] = {1: _to_grey, 3: _to_rgb}


def _as_indices(data: bytes, path: str | Path) -> bytes:
    """The same PNG with a palette that shows each stored number as itself, since OpenCV paints palettes."""
    depth = data[24]
    header = data[16:25] + b"\x03" + data[26:29]
    palette = bytes(value for index in range(1 << depth) for value in (index,) * 3)
    pixels = [body for kind, body in _png_chunks(data, path) if kind == b"IDAT"]
    chunks = [(b"IHDR", header), (b"PLTE", palette), *((b"IDAT", body) for body in pixels), (b"IEND", b"")]
    return _PNG_START + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def _png_chunks(data: bytes, path: str | Path) -> Iterator[tuple[bytes, bytes]]:
    position = len(_PNG_START)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        yield kind, data[position + 8 : position + 8 + length]
        position += 12 + length
    if position != len(data):
        raise InputError(f"mask {path} is truncated or damaged; copy it again from its source")
