"""Counts as a person reads them: 1 image, 2 images; knows no other words."""

from __future__ import annotations


def counted(number: int, one: str, many: str | None = None) -> str:
    """The number with what is counted. `many`: where it is not `one` with an s, such as of `image is`, `images are`."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"
