"""Whether LZW data of a TIFF make sense, without unpacking them; knows no tags.

Between two clear codes the n-th code has a known width and may name at most the n-th entry of the table, so all of them
are read at once, as arrays. How much they unpack to follows from the lengths of the entries.
"""

from __future__ import annotations

import numpy as np

_CLEAR, _END, _FIRST_ENTRY = 256, 257, 258
# A table has 4,096 entries; an encoder that clears late has its last codes in 12 bits, too.
_MOST_CODES = 4_096
_ENTRIES = _FIRST_ENTRY - 1 + np.arange(_MOST_CODES)  # free entry when the n-th code is read; the 0th is a plain byte
# The width grows one code early, a mistake of the first writers that became the rule.
_WIDTHS = 9 + (_ENTRIES >= 511).astype(np.int64) + (_ENTRIES >= 1023) + (_ENTRIES >= 2047)
_ENDS = np.cumsum(_WIDTHS)
_DOUBLINGS = 12  # 2 ** 12 codes


def lzw_fault(packed: bytes, wanted: int) -> str | None:
    """What is wrong with data that should unpack to at least `wanted` bytes; None where nothing is."""
    if packed[:1] == b"\0" and packed[1:2] and packed[1] & 1:
        return None  # the old style, with its bits the other way round
    padded = np.frombuffer(packed + bytes(4), np.uint8).astype(np.int64)
    bit, bits, unpacked = 0, 8 * len(packed), 0
    while unpacked < wanted:
        codes = _codes_from(padded, bit, bits)
        stops = np.flatnonzero((codes == _CLEAR) | (codes == _END))
        stop = int(stops[0]) if len(stops) else len(codes)
        lengths = np.cumsum(_lengths(codes[:stop]))
        enough = int(np.searchsorted(lengths, wanted - unpacked)) + 1
        used = codes[: min(stop, enough)]
        if (used >= np.maximum(_ENTRIES[: len(used)] + 1, _FIRST_ENTRY)).any() or (len(used) and used[0] >= _CLEAR):
            return "an LZW code names an entry that is not there"
        unpacked += int(lengths[len(used) - 1]) if len(used) else 0
        if unpacked < wanted and (stop == len(codes) or codes[stop] == _END):
            return "its LZW data end too early"
        bit += int(_ENDS[stop]) if stop < len(_ENDS) else 0
    return None


def _codes_from(padded: np.ndarray, bit: int, bits: int) -> np.ndarray:
    """All codes from a bit on, as if no clear code came."""
    ends = bit + _ENDS[: int(np.searchsorted(_ENDS, bits - bit, side="right"))]
    widths = _WIDTHS[: len(ends)]
    first = (ends - widths) >> 3
    window = padded[first] << 16 | padded[first + 1] << 8 | padded[first + 2]
    shift = 24 - (ends - 8 * first)
    return np.asarray(window >> shift & (1 << widths) - 1)


def _lengths(codes: np.ndarray) -> np.ndarray:
    """Bytes that each code unpacks to: one more than the code that its entry was made from."""
    count = len(codes)
    own = np.arange(count)
    made_from = np.where(codes >= _FIRST_ENTRY, np.minimum(codes - _FIRST_ENTRY, own - 1), -1)
    parent = np.where(made_from < 0, count, made_from)  # an element more, which stands for the beginning
    parent = np.append(parent, count)
    length = np.append(np.ones(count, np.int64), 0)
    for _ in range(_DOUBLINGS):
        length = length + length[parent]
        parent = parent[parent]
        if (parent == count).all():
            break
    return np.asarray(length[:count])
