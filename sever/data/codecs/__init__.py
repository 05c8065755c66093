"""Image formats, one file each, registered in one table; they know no labels, folders or settings.

The policy is the same for all of them. Labels are drawn on stored pixels, so pixels are used as they are stored: tags
never turn them, alpha is never multiplied in (and then dropped), and of several pages the first one counts.
"""

from __future__ import annotations

from sever.data.codecs import bmp, jpeg, png, tiff, tiff_tags, webp
from sever.data.codecs.header import TRUNCATED, UPRIGHT, Codec, Header

# By their first bytes: a file counts as what they say it is, whatever its suffix.
CODECS: dict[bytes, Codec] = {
    jpeg.MAGIC: jpeg.CODEC,
    png.MAGIC: png.CODEC,
    bmp.MAGIC: bmp.CODEC,
    **dict.fromkeys(tiff_tags.MAGICS, tiff.CODEC),
    webp.MAGIC: webp.CODEC,
}
NAMES = "JPEG, PNG, BMP, TIFF nor WebP"

__all__ = ["CODECS", "NAMES", "TRUNCATED", "UPRIGHT", "Codec", "Header", "find_codec"]


def find_codec(start: bytes) -> Codec | None:
    """The format of a file that begins with these bytes."""
    return next((codec for magic, codec in CODECS.items() if start.startswith(magic)), None)
