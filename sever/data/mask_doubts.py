"""Label maps whose numbers are not the labels: classes told by colour or by transparency; knows no classes.

A label map is read by its stored numbers. Programs that think in colours may number a palette as they please, and some
put the labels into the alpha channel: such a file is a proper label map to look at, and every label in it is wrong.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from sever.data.alpha import stored_alpha
from sever.reading import read_at_most

_START = b"\x89PNG\r\n\x1a\n"
_PALETTE = 3
_WITH_ALPHA = (4, 6)
_NO_PNG = -1
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
_OPAQUE = (0, 255)
_MEND = "save it as plain grey PNG whose numbers are the classes, 0 for background"


def find_misreading(path: Path, labels_hw: np.ndarray) -> str | None:
    """Why the numbers of a mask, read as `labels_hw`, are likely not its labels; None where nothing says so."""
    with path.open("rb") as stream:
        colour_type, palette = _colours(stream)
    if colour_type == _PALETTE:
        return _palette_fault(labels_hw, palette)
    return _alpha_fault(path, labels_hw) if colour_type in (*_WITH_ALPHA, _NO_PNG) else None


def _colours(stream: BinaryIO) -> tuple[int, list[tuple[int, ...]]]:
    """The kind of a whole PNG's colours, and its palette; _NO_PNG for another format."""
    colour_type = _NO_PNG
    if stream.read(len(_START)) != _START:
        return colour_type, []
    while len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IDAT":
            break
        body = read_at_most(stream, length)
        stream.seek(4, 1)
        if kind == b"IHDR":
            colour_type = body[9]
        elif kind == b"PLTE":
            return colour_type, [tuple(body[at : at + 3]) for at in range(0, len(body) - 2, 3)]
    return colour_type, []


def _palette_fault(labels_hw: np.ndarray, palette: list[tuple[int, ...]]) -> str | None:
    """Black is what nearly everyone draws background in; index 0 is what is read as background."""
    counts = np.bincount(labels_hw.ravel(), minlength=len(palette))
    used = [index for index in np.flatnonzero(counts).tolist() if index < len(palette)]
    black = next((index for index in used if palette[index] == _BLACK), None)
    if not black or palette[0] == _BLACK:
        return None
    on_paper = palette[0] == _WHITE and counts[0] > counts[black]
    if on_paper:
        return None
    return (
        f"the mask's palette shows black as index {black} and index 0 as the colour {palette[0]}; a mask counts by "
        f"index, so black would be class {black} and not background; {_MEND}"
    )


def _alpha_fault(path: Path, labels_hw: np.ndarray) -> str | None:
    alpha_hw = stored_alpha(path.read_bytes())
    alpha = [] if alpha_hw is None else np.unique(alpha_hw).tolist()
    if len(alpha) <= 1:
        return None
    shown = ", ".join(map(str, alpha[:5])) + (", ..." if len(alpha) > 5 else "")
    if labels_hw.min() == labels_hw.max():
        return (
            f"the mask is {labels_hw.flat[0]} everywhere, but its alpha channel has the values {shown}: the labels "
            f"seem to lie in the alpha channel, which is not read; {_MEND}"
        )
    if not set(alpha) <= set(_OPAQUE):
        return (
            f"the mask has an alpha channel with the values {shown}, which are neither clear nor opaque: are the "
            f"labels there? It is not read; {_MEND}, without alpha"
        )
    return None
