"""Warnings where pixels or masks are likely not what the user means, each with a count; changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from sever.counted import counted
from sever.data.codecs import UPRIGHT
from sever.data.reader import CLIPPED_SHARE, ImageReader
from sever.data.table import ImageTable
from sever.progress import warn

# Training images whose mean lies outside are nearly black or white: of 12 bits that were read as 16, say.
DARK, BRIGHT = 0.03, 0.97
_said: set[str] = set()


def begin() -> None:
    """Another experiment begins: what was said of the last one's images may be said again."""
    _said.clear()


def warn_of_headers(table: ImageTable) -> None:
    """Of images and masks that say they are to be turned, and of those with more than one page."""
    turned = _where(table, "orientation", above=UPRIGHT)
    if turned:
        _once(
            "turned",
            f"{counted(len(turned), 'image')} with an orientation tag other than 1 (such "
            f"as {turned[0]}, or its mask): pixels "
            "are used as they are stored, unturned; where labels were drawn on turned pictures, save the images turned",
        )
    paged = _where(table, "pages", above=1)
    if paged:
        _once(
            "pages",
            f"{counted(len(paged), 'image')} with more than one page (such as {paged[0]}, "
            f"or its mask): the first is used",
        )


def warn_of_clipping(read: ImageReader) -> None:
    """Of images that lost their brightest values, among all that were read so far."""
    if read.clipped_images:
        _once(
            "clipped",
            f"{counted(read.clipped_images, 'image')} of {read.images} with over "
            f"{CLIPPED_SHARE:.0%} of the pixels clipped to "
            f"white (up to {read.worst_share:.0%}): they are brighter than data.significant_bits "
            f"{read.significant_bits} can say, which is a setting of the run",
        )


def warn_of_mean(mean: Sequence[float]) -> None:
    """Of training images that are nearly black, or white."""
    odd = [value for value in mean if not DARK <= value <= BRIGHT]
    if odd:
        word = "black" if odd[0] < DARK else "white"
        _once(
            "mean",
            f"the training images are nearly {word}: their mean is {odd[0]:.3f} of 1; look at them, and where 16-bit "
            "files hold fewer bits, set data.significant_bits (12 for a 12-bit camera)",
        )


def _where(table: ImageTable, column: str, above: int) -> list[str]:
    ids = table.frame.loc[table.frame[column] > above, "image_id"]
    return [str(image_id) for image_id in ids]


def _once(kind: str, message: str) -> None:
    """However often the same images are read: measured, validated, and again for every fold."""
    if kind not in _said:
        _said.add(kind)
        warn(message)
