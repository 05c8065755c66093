"""Label Studio's run lengths of a brush, bits in a list of bytes, to masks and back; knows no JSON.

The form is that of thi.ng's rle-pack over the four channels of a picture: 32 bits for how many values there are, 5 for
the width of a value, four times 4 for the widths of a length; then runs (bit 1, length, one value) and strings of
single values (bit 0, length, the values). A pixel is on where its fourth channel, alpha, is not 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sever.errors import InputError

_CHANNELS = 4
_VALUE_BITS = 8
# Widths of a length, from which each run takes the first that fits it.
_WIDTHS = (3, 4, 8, 16)
_MOST_BYTES = 1 << 28


def decode_brush(numbers: Sequence[int], height: int, width: int) -> np.ndarray:
    """The mask (H, W) uint8 of 0 and 1. Raises InputError unless the bytes are a picture of this size."""
    bits = _Bits(numbers)
    count, size = bits.take(32), bits.take(5) + 1
    widths = [bits.take(4) + 1 for _ in range(4)]
    if count != height * width * _CHANNELS:
        raise InputError(
            f"the brush's run lengths are for {count / _CHANNELS:g} pixels, but the image has {height * width}"
        )
    values = np.zeros(count, np.uint8)
    at = 0
    while at < count:
        is_run = bits.take(1)
        end = at + 1 + bits.take(widths[bits.take(2)])
        if end > count:
            raise InputError("the brush's run lengths extend beyond the image")
        values[at:end] = bits.take(size) & 255 if is_run else bits.take_many(end - at, size)
        at = end
    return (values.reshape(height, width, _CHANNELS)[..., 3] != 0).astype(np.uint8)


def encode_brush(mask_hw: np.ndarray) -> list[int]:
    """The way back: on pixels are 255 in all four channels."""
    flat = mask_hw.ravel() != 0
    parts = [(flat.size * _CHANNELS, 32), (_VALUE_BITS - 1, 5), *((width - 1, 4) for width in _WIDTHS)]
    edges = np.flatnonzero(np.diff(flat.astype(np.int8), prepend=1 - flat[:1].astype(np.int8)))
    lengths = np.diff(edges, append=flat.size) * _CHANNELS
    for start, length in zip(edges.tolist(), lengths.tolist(), strict=True):
        value = 255 if flat[start] else 0
        while length:
            part = min(length, 1 << _WIDTHS[-1])
            fits = next(at for at, bits in enumerate(_WIDTHS) if part <= 1 << bits)
            parts += [(1, 1), (fits, 2), (part - 1, _WIDTHS[fits]), (value, _VALUE_BITS)]
            length -= part
    text = "".join(f"{number:0{width}b}" for number, width in parts)
    text += "0" * (-len(text) % 8)
    return [int(text[at : at + 8], 2) for at in range(0, len(text), 8)]


class _Bits:
    """Bits of a list of bytes, from the highest on."""

    def __init__(self, numbers: Sequence[int]) -> None:
        if not all(isinstance(number, int) and 0 <= number < 256 for number in numbers) or len(numbers) > _MOST_BYTES:
            raise InputError("the brush's run lengths are not a list of bytes, 0 to 255")
        self.bits = np.unpackbits(np.array(numbers, dtype=np.uint8))
        self.at = 0

    def take(self, width: int) -> int:
        end = self.at + width
        if end > len(self.bits):
            raise InputError("the brush's run lengths end too early")
        number = int("".join(map(str, self.bits[self.at : end].tolist())), 2)
        self.at = end
        return number

    def take_many(self, count: int, width: int) -> np.ndarray:
        """`count` values of so many bits; of wider ones than 8 the lowest 8."""
        end = self.at + count * width
        if end > len(self.bits):
            raise InputError("the brush's run lengths end too early")
        rows = self.bits[self.at : end].reshape(count, width)[:, -_VALUE_BITS:]
        self.at = end
        return rows @ (1 << np.arange(rows.shape[1])[::-1]).astype(np.int64)
