"""Run lengths of other tools: alternating counts of off and on pixels, plain or in COCO's letters; knows no files.

They differ from the competition's (sever/data/rle.py), which name the starts. COCO counts down the columns, CVAT along
the rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sever.errors import InputError

# Five bits a letter; 12 letters hold any count of an image that fits a memory.
_MOST_LETTERS = 12


def mask_of_counts(counts: Sequence[int], height: int, width: int, by_column: bool = True) -> np.ndarray:
    """The mask (H, W) uint8 of counts that begin with off pixels. Raises InputError unless they fill it exactly."""
    if not all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts):
        raise InputError("the run lengths are not all whole numbers of 0 or more")
    if (total := sum(counts)) != height * width:
        raise InputError(
            f"the run lengths cover {total} pixels, but {width} x {height} (width x height) are {height * width}"
        )
    flat = np.repeat(np.arange(len(counts), dtype=np.int64) % 2, np.asarray(counts, dtype=np.int64)).astype(np.uint8)
    return np.ascontiguousarray(flat.reshape(width, height).T) if by_column else flat.reshape(height, width)


def counts_of_mask(mask_hw: np.ndarray, by_column: bool = True) -> list[int]:
    """Alternating counts of off and on pixels; the first is off, and 0 where the mask begins with an on pixel."""
    flat = (mask_hw.T if by_column else mask_hw).ravel() != 0
    edges = np.flatnonzero(np.diff(flat.astype(np.int8), prepend=0))
    return np.diff(edges, prepend=0, append=flat.size).tolist() if flat.size else [0]


def counts_of_letters(text: str) -> list[int]:
    """COCO's compressed form: five bits a letter, from the third count on as differences to the last but one."""
    counts: list[int] = []
    value = letters = 0
    for letter in text:
        code = ord(letter) - 48
        if not 0 <= code < 64 or letters >= _MOST_LETTERS:
            raise InputError(f"the compressed run lengths have {letter!r}, which is not a letter of COCO's there")
        value |= (code & 31) << (5 * letters)
        letters += 1
        if code & 32:
            continue
        if code & 16:
            value -= 1 << (5 * letters)
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = letters = 0
    if letters:
        raise InputError("the compressed run lengths end in the midst of a number")
    return counts


def letters_of_counts(counts: Sequence[int]) -> str:
    """The way back of `counts_of_letters`."""
    text = []
    for at, count in enumerate(counts):
        value, more = count - counts[at - 2] if at > 2 else count, True
        while more:
            code, value = value & 31, value >> 5
            more = value != (-1 if code & 16 else 0)
            text.append(chr(code + 32 * more + 48))
    return "".join(text)
