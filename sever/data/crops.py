"""Which part of an image a training step should see, from the sizes of the images alone."""

from __future__ import annotations

MULTIPLE = 32  # what the encoders halve their input to
WHOLE_UP_TO = 256 * 256  # pixels of an image, padded, up to which whole images are trained on
CROP_SIDES = (256, 416)  # the shorter and the longer side of a crop, at most; 2019 had 256x384 to 256x448


def fitting_crop(largest: tuple[int, int], commonest: tuple[int, int]) -> tuple[int, int] | None:
    """Height and width of training crops, for images up to `largest`, most of them `commonest`; None: whole images."""
    height, width = (-(-side // MULTIPLE) * MULTIPLE for side in largest)
    if height * width <= WHOLE_UP_TO:
        return None
    sides = [max(MULTIPLE, side // MULTIPLE * MULTIPLE) for side in commonest]
    longer = int(sides[1] >= sides[0])
    return min(sides[0], CROP_SIDES[1 - longer]), min(sides[1], CROP_SIDES[longer])
