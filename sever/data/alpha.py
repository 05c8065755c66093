"""The alpha channel of a mask picture as it is stored, in formats whose decoder drops it too; knows no labels."""

from __future__ import annotations

import struct

import numpy as np

from sever.data import codecs
from sever.data.codecs import bmp, opencv
from sever.data.codecs.tiff_tags import MAGICS, Directory, read_directories

_WIDTH, _PHOTOMETRIC, _SAMPLES, _PLANES, _PREDICTOR = 256, 262, 277, 284, 317
_BLACK_IS_ZERO = 1
_PLAIN_AND_BITFIELDS = (0, 3)  # compressions of BMP, both without any


def stored_alpha(data: bytes) -> np.ndarray | None:
    """(H, W) of a whole picture that can be decoded; None where it has no alpha."""
    if data.startswith(bmp.MAGIC):
        return _alpha_of_bmp(data)
    if data.startswith(MAGICS):
        first = read_directories(data)[0]
        if (samples := first.value(_SAMPLES, 1)) != 4:
            return _second_sample(data, first) if samples == 2 else None
    codec = codecs.find_codec(data[:8])
    assert codec is not None, "it was decoded before"
    pixels = codec.decode(data)
    return pixels[..., 3] if isinstance(pixels, np.ndarray) and pixels.ndim == 3 and pixels.shape[2] == 4 else None


def _alpha_of_bmp(data: bytes) -> np.ndarray | None:
    """The fourth byte of each pixel; rows of 32-bit pixels need no padding."""
    pixels_at, header_bytes = struct.unpack_from("<II", data, 10)
    if header_bytes == 12:
        return None
    width, height, bits, compression = struct.unpack_from("<iixxHI", data, 18)
    if bits != 32 or compression not in _PLAIN_AND_BITFIELDS:
        return None
    pixels = np.frombuffer(data, np.uint8, abs(height) * width * 4, pixels_at).reshape(abs(height), width, 4)
    return pixels[::-1, :, 3] if height > 0 else pixels[..., 3]


def _second_sample(data: bytes, first: Directory) -> np.ndarray | None:
    """Grey and alpha lie side by side, so that the file, read as grey of twice the width, shows both."""
    if first.value(_PLANES, 1) != 1 or first.value(_PREDICTOR, 1) != 1:
        return None
    changed = bytearray(data)
    for tag, value in {_WIDTH: 2 * first.value(_WIDTH), _SAMPLES: 1, _PHOTOMETRIC: _BLACK_IS_ZERO}.items():
        field = first.fields[tag]
        struct.pack_into(f"{first.order}{field.letter}", changed, field.position, value)
    pixels = opencv.decode_quietly(bytes(changed))
    return None if pixels is None or pixels.ndim != 2 else pixels[:, 1::2]
