"""Warnings where pixels or masks are likely not what the user means, each with a count; changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from sever.counted import counted
from sever.data.codecs import UPRIGHT
from sever.data.reader import BRIGHT, CLIPPED_SHARE, DARK, ImageReader
from sever.data.table import ImageTable
from sever.progress import warn

_said: set[str] = set()


def begin() -> None:
    """Another experiment begins: what was said of the last one's images may be said again."""
    _said.clear()


def warn_of_headers(table: ImageTable) -> None:
    """Of images and masks that say they are to be turned, and of those with more than one page."""
    if turned := _where(table, "orientation", above=UPRIGHT):
        _once("turned", _turned(len(turned), f" (such as {turned[0]}, or its mask)"))
    if paged := _where(table, "pages", above=1):
        _once("pages", _paged(len(paged), f" (such as {paged[0]}, or its mask)"))


def warn_of_clipping(read: ImageReader, who: str = "") -> None:
    """Of images that lost their brightest values, among all that were read so far."""
    counts = read.counts
    if counts.clipped_images:
        _once(
            f"clipped {who}",
            f"{counted(counts.clipped_images, 'image')} of {counts.images} with over "
            f"{CLIPPED_SHARE:.0%} of the pixels clipped to "
            f"white (up to {counts.worst_share:.0%}): they are brighter than data.significant_bits "
            f"{read.significant_bits} can say, which is a setting of the run",
        )


def warn_of_light(read: ImageReader, trained_mean: Sequence[float], who: str = "") -> None:
    """Where most of the images that were read so far are nearly black or white, and those of the training were not."""
    counts = read.counts
    white = 0 if counts.clipped_images else counts.white_images  # clipping is the cause, and was told
    for word, images in (("black", counts.black_images), ("white", white)):
        if 2 * images > counts.images and all(DARK <= value <= BRIGHT for value in trained_mean):
            bits = ": scale the values of 16-bit files that hold fewer bits up to 16" if word == "black" else ""
            _once(
                f"{word} {who}",
                f"{counted(images, 'image')} of {counts.images} nearly {word}, though the mean of the training images "
                f"was {trained_mean[0]:.2f} of 1; look at them{bits}",
            )


def warn_of_values(read: ImageReader, trained_mean: Sequence[float], who: str = "") -> None:
    """Of images whose headers were looked at before: those that are clipped, nearly black or white."""
    warn_of_clipping(read, who)
    warn_of_light(read, trained_mean, who)


def warn_of_read(read: ImageReader, trained_mean: Sequence[float], who: str) -> None:
    """Of everything that a reader noticed; `who` reads: the same may be said of another's images."""
    counts = read.counts
    if counts.turned_images:
        _once(f"turned {who}", _turned(counts.turned_images))
    if counts.paged_images:
        _once(f"pages {who}", _paged(counts.paged_images))
    warn_of_values(read, trained_mean, who)


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


def _turned(images: int, such_as: str = "") -> str:
    return (
        f"{counted(images, 'image')} with an orientation tag other than 1{such_as}: pixels are used as they are "
        "stored, unturned; where labels were drawn on turned pictures, save the images turned"
    )


def _paged(images: int, such_as: str = "") -> str:
    return f"{counted(images, 'image')} with more than one page{such_as}: the first is used"


def _where(table: ImageTable, column: str, above: int) -> list[str]:
    ids = table.frame.loc[table.frame[column] > above, "image_id"]
    return [str(image_id) for image_id in ids]


def _once(kind: str, message: str) -> None:
    """However often the same images are read: measured, validated, and again for every fold."""
    if kind not in _said:
        _said.add(kind)
        warn(message)
