"""Bytes of a request to pixels: picture files by what their first bytes say, raw pixels by the shape they come with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sever.counted import counted
from sever.data.codecs import Header
from sever.data.images import TooManyPixels, decode_with_header, to_model_pixels
from sever.deliver.serve.refusal import Refusal
from sever.errors import InputError

RAW_TYPE = "application/octet-stream"
# What a stored original is served as; a picture's type comes from its own first bytes, never from the client.
MEDIA_TYPES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png", b"II": "image/tiff", b"MM": "image/tiff"} | {
    b"BM": "image/bmp",
    b"RIFF": "image/webp",
}


@dataclass(frozen=True)
class RawShape:
    """How raw pixels lie: rows from top to bottom, channels innermost (RGB), 16-bit values little-endian."""

    height: int
    width: int
    channels: int = 1
    bits: int = 8

    @property
    def num_bytes(self) -> int:
        return self.height * self.width * self.channels * self.bits // 8

    def __str__(self) -> str:
        colours = "grey" if self.channels == 1 else "RGB"
        return f"{self.width} x {self.height} raw pixels, {colours}, {self.bits} bits"


def read_raw_shape(query: Mapping[str, str]) -> RawShape:
    """The shape that a raw upload declares in its query. Raises Refusal where it is none."""
    try:
        shape = RawShape(*(int(query.get(name, base)) for name, base in SHAPE.items()))
    except ValueError as error:
        raise Refusal(422, "height, width, channels and bits of raw pixels are whole numbers") from error
    if shape.height < 1 or shape.width < 1 or shape.channels not in (1, 3) or shape.bits not in (8, 16):
        raise Refusal(
            422,
            "raw pixels need height and width in the query (at least 1), channels 1 or 3 and bits 8 or 16; given were "
            f"height {shape.height}, width {shape.width}, channels {shape.channels}, bits {shape.bits}",
        )
    return shape


# What says in a query how raw pixels lie, and what it says where it is left out.
SHAPE = {"height": "0", "width": "0", "channels": "1", "bits": "8"}


def decode(data: bytes, name: str, max_pixels: int, raw: RawShape | None = None) -> np.ndarray:
    """The pixels as they are stored: (H, W) or (H, W, 3 or 4) uint8 or uint16, blue first. Raises Refusal."""
    return decode_upload(data, name, max_pixels, raw)[0]


def decode_upload(data: bytes, name: str, max_pixels: int, raw: RawShape | None = None) -> tuple[np.ndarray, Header]:
    """As `decode`, and what the file says of its picture."""
    if raw is not None:
        return _decode_raw(data, raw, max_pixels), Header(raw.height, raw.width)
    called = f"image {name!r}" if name else "the image"
    try:
        return decode_with_header(data, called, max_pixels)
    except TooManyPixels as error:
        raise Refusal(413, f"{called} has more than {max_pixels:,} pixels by its header (limits.max_pixels)") from error
    except InputError as error:
        raise Refusal(422, str(error)) from error


def for_model(stored: np.ndarray, channels: int, significant_bits: int) -> np.ndarray:
    """What a model takes: (H, W, channels) uint8, as every other way from a file to a mask makes it."""
    return for_model_and_clipped(stored, channels, significant_bits)[0]


def for_model_and_clipped(stored: np.ndarray, channels: int, significant_bits: int) -> tuple[np.ndarray, float]:
    """The same, and the share of the stored values that is too bright."""
    return to_model_pixels(stored, channels, significant_bits)


def media_type(data: bytes, raw: RawShape | None) -> str:
    if raw is not None:
        return f"{RAW_TYPE};height={raw.height};width={raw.width};channels={raw.channels};bits={raw.bits}"
    return next((kind for magic, kind in MEDIA_TYPES.items() if data.startswith(magic)), RAW_TYPE)


def raw_shape_of(kind: str) -> RawShape | None:
    """The shape in a media type that `media_type` made, for reading a stored original again."""
    if not kind.startswith(f"{RAW_TYPE};"):
        return None
    values = dict(part.split("=") for part in kind.split(";")[1:])
    return RawShape(*(int(values[name]) for name in SHAPE))


def _decode_raw(data: bytes, raw: RawShape, max_pixels: int) -> np.ndarray:
    if raw.height * raw.width > max_pixels:
        raise Refusal(413, f"{raw.width} x {raw.height} pixels are more than the {max_pixels:,} that are allowed")
    if len(data) != raw.num_bytes:
        raise Refusal(422, f"{raw}, are {counted(raw.num_bytes, 'byte')}, but {len(data)} came")
    pixels = np.frombuffer(data, np.dtype("<u2") if raw.bits == 16 else np.uint8)
    pixels = pixels.reshape(raw.height, raw.width, raw.channels).astype(pixels.dtype.newbyteorder("="), copy=False)
    return np.ascontiguousarray(pixels[..., ::-1]) if raw.channels == 3 else pixels[..., 0]
