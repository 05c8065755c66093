"""What a file says of its picture before a pixel is decoded; knows no format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import numpy as np

TRUNCATED = "is truncated or damaged; copy it again from its source"
UPRIGHT = 1


@dataclass(frozen=True)
class Header:
    """Size in pixels as stored; `orientation` as EXIF counts it (1: upright); `pages` of a file with several."""

    height: int
    width: int
    orientation: int = UPRIGHT
    pages: int = 1


class Codec(NamedTuple):
    """One format. Where something is wrong with a file, each of the three says so in words, to follow its name.

    `read_header` decodes nothing, so that a file which claims a huge picture costs nothing. `find_damage` looks at the
    whole file, as cheaply as the format allows. `decode` gives the stored pixels, (H, W) or (H, W, 3 or 4) in the order
    blue, green, red, alpha, and notices at least what `find_damage` does.
    """

    read_header: Callable[[BinaryIO], Header | str]
    find_damage: Callable[[bytes], str | None]
    decode: Callable[[bytes], np.ndarray | str]
