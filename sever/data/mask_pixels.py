"""Mask pictures to codes: the number or the colour that each pixel stores; knows not what they mean.

A code is a number as it is stored (a palette's index, 0..65535), or a colour from COLOUR up: COLOUR + red * 65536 +
green * 256 + blue.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sever.config import MAX_PIXELS
from sever.data.images import decode_stored, read_image, read_label_map
from sever.errors import InputError

COLOUR = 1 << 24
# JPEG changes values, so that a mask of it has classes that nobody drew.
MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")
_PNG_HEADER_BYTES = 26
_PALETTE, _TRUE_COLOURS = 3, (2, 6)


def read_codes(path: Path, as_colours: bool = False, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Codes (H, W) int32 of a mask picture: numbers, or colours where these are asked for or the picture has them.

    A palette's pixels are numbers unless colours are asked for; true colours that are all grey are numbers as well.
    Raises InputError for an unreadable file and for JPEG.
    """
    if path.suffix.lower() not in MASK_SUFFIXES:
        raise InputError(f"mask {path} should be one of {', '.join(MASK_SUFFIXES)}; JPEG changes the values of a mask")
    kind = _png_colour_type(path)
    if kind is None:
        return _codes(_unpacked(path, max_pixels), as_colours)
    if kind in _TRUE_COLOURS or (kind == _PALETTE and as_colours):
        return _codes(read_image(path, 3, max_pixels=max_pixels), as_colours)
    return _codes(read_label_map(path, max_pixels), as_colours)


def decode_picture(data: bytes, max_pixels: int) -> np.ndarray:
    """(H, W) numbers of a small picture within another file, its first channel. Raises InputError where it is none."""
    pixels = decode_stored(data, "the picture", max_pixels)
    return pixels if pixels.ndim == 2 else pixels[..., 0]


def opaque(pixels: np.ndarray) -> np.ndarray:
    """(H, W) bool of a small picture: what is not transparent, or not 0 where nothing can be transparent."""
    if pixels.ndim == 3:
        pixels = pixels[..., -1 if pixels.shape[2] in (2, 4) else 0]
    return pixels != 0


def code_of(text: str) -> int:
    """The code of a value as settings spell it: digits, or #rrggbb."""
    return COLOUR + int(text[1:], 16) if text.startswith("#") else int(text)


def spell(code: int) -> str:
    """The way back of `code_of`."""
    return f"#{code - COLOUR:06x}" if code >= COLOUR else str(code)


def _png_colour_type(path: Path) -> int | None:
    """By the header; None where it is not a PNG, whatever its suffix."""
    try:
        with path.open("rb") as file:
            header = file.read(_PNG_HEADER_BYTES)
    except OSError as error:
        raise InputError(f"mask {path} can't be read: {error.strerror or error}") from error
    is_png = header.startswith(b"\x89PNG") and len(header) == _PNG_HEADER_BYTES
    return header[-1] if is_png else None


def _unpacked(path: Path, max_pixels: int) -> np.ndarray:
    data = path.read_bytes()
    if data.startswith(b"\xff\xd8"):
        raise InputError(f"mask {path} is a JPEG inside, which changes the values of a mask; save it as PNG")
    pixels = decode_stored(data, f"mask {path}", max_pixels)
    return pixels if pixels.ndim == 2 else pixels[..., 2::-1]


def _codes(pixels: np.ndarray, as_colours: bool) -> np.ndarray:
    if not as_colours and (pixels.ndim == 2 or (pixels == pixels[..., :1]).all()):
        return (pixels if pixels.ndim == 2 else pixels[..., 0]).astype(np.int32)
    red, green, blue = (pixels,) * 3 if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)
    return COLOUR + (red.astype(np.int32) << 16) + (green.astype(np.int32) << 8) + blue
