"""Image files to pixels: which there are, how large, what they show; knows no labels, no layouts and no format.

Labels are drawn on stored pixels, so pixels are used as they are stored, whatever a format's tags say of them
(`sever.data.codecs`). A file counts as what its first bytes say it is, whatever its suffix.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Literal

import cv2
import numpy as np

from sever.config import MAX_PIXELS
from sever.data import codecs
from sever.data.codecs import Codec, Header, png
from sever.data.passed_over import is_passed_over
from sever.errors import InputError
from sever.output import WRITTEN, written_below
from sever.walking import walk

Channels = Literal[1, 3]  # one grey channel, or red, green and blue
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp")


class TooManyPixels(InputError):
    """An image that is larger than what is allowed."""


def list_images(folder: Path) -> list[Path]:
    """All images below a folder, sorted by path in posix form; not what is hidden or `is_passed_over`, nor the pictures
    that a command wrote there, such as maps: where results lie among images, the images stay the same."""
    found = find_images(folder)
    _raise_unless_text(found)
    return [Path(name) for name in sorted(found)]


def find_images(folder: Path, refuse: Callable[[OSError], None] | None = None) -> list[str]:
    """The same in any order, whose names need not be text; `refuse` as in `walk`."""
    found, results = [], set[str]()
    for current, names in walk(folder, lambda name, beside: not is_passed_over(name, beside), refuse):
        if WRITTEN in names:
            results |= set(map(str, written_below(Path(current))))
        found += [
            f"{current}/{name}" for name in names if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")
        ]
    return [name for name in found if str(Path(name)) not in results] if results else found


def _raise_unless_text(paths: list[str]) -> None:
    """An image's id stands in CSV and JSON files, so that its name must be text; Linux allows any bytes."""
    strange = [path for path in paths if not is_text(path)]
    if not strange:
        return
    raw = os.fsencode(min(strange))
    shown, more = raw.decode("utf-8", "backslashreplace"), f" (and {len(strange) - 1} more)" * (len(strange) > 1)
    if shown.encode() == raw:  # text, which this Python was told to read in another encoding
        raise InputError(f"{shown}{more}: names are not read as UTF-8 here; set the environment variable PYTHONUTF8=1")
    raise InputError(
        f"{shown}{more}: this name is not UTF-8, so no label or result can refer to the image; rename it "
        "(convmv renames whole folders)"
    )


def is_text(path: str) -> bool:
    """Whether a name can stand in a file in UTF-8."""
    if path.isascii():
        return True
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def image_size(path: str | Path, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Height and width in pixels of a whole, undamaged image. Raises InputError for any other."""
    header = read_header(path, max_pixels)
    if damage := damage_of(path):
        raise InputError(f"image {path} {damage}")
    return header.height, header.width


def read_header(path: str | Path, max_pixels: int = MAX_PIXELS) -> Header:
    """What the file says of its picture; decodes nothing.

    Raises InputError for a file that is unreadable, larger than `max_pixels`, or truncated as far as a look at its
    structure shows it.
    """
    try:
        with Path(path).open("rb") as stream:
            return _examine(stream, f"image {path}", max_pixels)[1]
    except InputError:
        raise
    except (OSError, ValueError) as error:  # a path with a zero byte is no path
        raise InputError(f"image {path} can't be read: {getattr(error, 'strerror', None) or error}") from error


def damage_of(path: str | Path) -> str | None:
    """What is wrong with the pixels of a file whose header is good, in words to follow its name; None where nothing is.

    Looks at the whole file, so that damage is found before the work and not in its midst.
    """
    data = read_content(path)
    codec = codecs.find_codec(data[:8])
    return codec.find_damage(data) if codec else codecs.TRUNCATED


def read_image(path: str | Path, channels: int, significant_bits: int = 16, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Pixels (H, W, channels) uint8, RGB or grey by luminance, as they lie in the file (no turning by EXIF).

    `significant_bits` says how many bits of a 16-bit image carry the signal; 8-bit images stay as they are.
    Alpha is dropped. Raises InputError for what `read_header` does.
    """
    if channels not in (1, 3):
        raise InputError(f"an image is read with 1 or 3 channels, not {channels}")
    stored = decode_stored(read_content(path), f"image {path}", max_pixels)
    return to_model_pixels(stored, channels, significant_bits)[0]


def to_model_pixels(stored: np.ndarray, channels: int, significant_bits: int = 16) -> tuple[np.ndarray, float]:
    """Stored pixels as `decode_stored` gives them to those of `read_image`, and the share of the values that is too
    bright for `significant_bits`."""
    pixels, clipped = _to_8_bit(stored, significant_bits)
    return _CONVERT[channels](pixels), clipped


def decode_stored(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The pixels that a file's bytes store: (H, W) or (H, W, 3 or 4), uint8 or uint16, in the order blue, green, red.

    Raises InputError, with `name` of the picture, for what is not an image, damaged, or larger than `max_pixels`.
    """
    return decode_with_header(data, name, max_pixels)[0]


def decode_with_header(data: bytes, name: str, max_pixels: int = MAX_PIXELS) -> tuple[np.ndarray, Header]:
    """As `decode_stored`, and what the file says of its picture."""
    codec, header = _examine(io.BytesIO(data), name, max_pixels)
    return _checked(codec.decode(data), header, name), header


def to_grey(image_hwc: np.ndarray) -> np.ndarray:
    """(H, W, 3) RGB to (H, W, 1), by the luminance that `read_image` uses too."""
    return cv2.cvtColor(image_hwc, cv2.COLOR_RGB2GRAY)[..., None]


def to_channels(image_hwc: np.ndarray, channels: int, significant_bits: int = 16) -> tuple[np.ndarray, float]:
    """An array (H, W, 1 or 3), RGB, uint8 or uint16, as `read_image` would give it from a file that stores it; and the
    share of its values that is too bright."""
    pixels, clipped_share = _to_8_bit(image_hwc, significant_bits)
    pixels = np.ascontiguousarray(pixels)
    if pixels.shape[2] != channels:
        pixels = to_grey(pixels) if channels == 1 else np.repeat(pixels, 3, axis=2)
    return pixels, clipped_share


def read_label_map(path: str | Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The stored numbers (H, W) of a PNG label map: palette indices, not colours, and 0/1 of a one-bit mask.

    Raises InputError for an unreadable or truncated file, one that is no PNG, one larger than `max_pixels`, and one
    with true colours.
    """
    data = read_content(path)
    if not data.startswith(png.MAGIC):
        raise InputError(f"mask {path} is not a PNG; label maps are 8-bit PNG files")
    _, header = _examine(io.BytesIO(data), f"mask {path}", max_pixels)
    labels = _checked(png.decode_numbers(data), header, f"mask {path}")
    if labels.ndim == 3:
        if (labels[..., :3] != labels[..., :1]).any():
            raise InputError(f"mask {path} is a colour picture; a mask holds one number a pixel, the class")
        labels = labels[..., 0]
    return labels


def read_content(path: str | Path) -> bytes:
    """The bytes of an image's file. Raises InputError where it can't be read."""
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:  # a path with a zero byte is no path
        raise InputError(f"image {path} can't be read: {getattr(error, 'strerror', None) or error}") from error


def _examine(stream: BinaryIO, name: str, max_pixels: int) -> tuple[Codec, Header]:
    """The format and the header, which must make sense and claim no more than `max_pixels`."""
    start = stream.read(8)
    if not start:
        raise InputError(f"{name} is empty: the file has 0 bytes")
    codec = codecs.find_codec(start)
    if codec is None:
        raise InputError(f"{name} is not an image that can be read: it is neither {codecs.NAMES} inside")
    try:
        header = codec.read_header(stream)
    except struct.error:
        header = codecs.TRUNCATED
    if isinstance(header, str):
        raise InputError(f"{name} {header}")
    if min(header.height, header.width) < 1:
        raise InputError(f"{name} is damaged: by its header it is {header.width} x {header.height} pixels")
    if header.height * header.width > max_pixels:
        raise TooManyPixels(
            f"{name} is too large: by its header it is {header.width} x {header.height} pixels, more than the "
            f"{max_pixels:,} that data.max_pixels (predict --max-pixels) allows; cut it into pieces, or allow more"
        )
    return codec, header


def _checked(decoded: np.ndarray | str, header: Header, name: str) -> np.ndarray:
    if isinstance(decoded, str):
        raise InputError(f"{name} {decoded}")
    size = header.height, header.width
    if decoded.shape[:2] != size:
        raise InputError(f"{name} is damaged: its header says {size}, its pixels are {decoded.shape[:2]}")
    return decoded


def _to_8_bit(pixels: np.ndarray, significant_bits: int) -> tuple[np.ndarray, float]:
    """Pixels as uint8, and the share of the values that don't fit in `significant_bits` and become white."""
    if pixels.dtype == np.uint8:
        return pixels, 0.0
    shifted = pixels >> (significant_bits - 8)
    return np.minimum(shifted, 255).astype(np.uint8), np.count_nonzero(shifted > 255) / shifted.size


def _to_grey(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(np.ascontiguousarray(pixels[..., :3]), cv2.COLOR_BGR2GRAY)
    return pixels[..., None]


def _to_rgb(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 2:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGB)


_CONVERT: dict[int, Callable[[np.ndarray], np.ndarray]] = {1: _to_grey, 3: _to_rgb}
