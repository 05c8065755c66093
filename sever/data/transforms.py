"""Named recipes of random changes to training images and their masks; knows no files, tables or networks.

A recipe is a crop and then a few steps. A step takes an image (H, W, 1|3) uint8, its masks (C, H, W) uint8
of 0, 1 and IGNORED and a numpy generator, the only source of chance: the random classes of torchvision draw from
torch's global state, so we draw here and call its functional side. Steps leave their inputs as they were,
and a grey image grey.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as v2

from sever.config import AugmentSettings, EnhanceWeights, FlipWeights
from sever.config.augment import EVEN, OURS
from sever.errors import InputError

Sample = tuple[np.ndarray, np.ndarray]
Augmentation = Callable[[np.ndarray, np.ndarray, np.random.Generator], Sample]

SHARPEN_SHARE = (0.2, 0.3)
CLAHE_CLIP_LIMIT = (1.0, 4.0)
CLAHE_TILES = (8, 8)
BLUR_PIXELS = (3, 3)
LIGHT_CHANGE = 0.1
HEAVY_CHANGE = 0.25
HEAVY_GAMMA = 1.4
HEAVY_NOISE_LEVELS = 8.0
HEAVY_ANGLE_DEGREES = 7.0
# Enlarging only: a smaller image would stand in a black frame, which no camera shows.
HEAVY_SCALE = (1.0, 1.25)


def flip(image_hwc: np.ndarray, masks_chw: np.ndarray, rng: np.random.Generator, weights: FlipWeights = EVEN) -> Sample:
    """Left-right, top-down, both or neither, as often as the weights say."""
    shares = weights.shares()
    across = rng.random() < shares["width"] + shares["both"]
    # Given the first, so that both together come as often as they should.
    down, plain = ("both", "width") if across else ("height", "none")
    upside = rng.random() * (shares[down] + shares[plain]) < shares[down]
    if across:
        image_hwc = _with_v2(v2.horizontal_flip, image_hwc)
        masks_chw = v2.horizontal_flip(torch.from_numpy(masks_chw)).numpy()
    if upside:
        image_hwc = _with_v2(v2.vertical_flip, image_hwc)
        masks_chw = v2.vertical_flip(torch.from_numpy(masks_chw)).numpy()
    return image_hwc, masks_chw


def enhance(
    image_hwc: np.ndarray, masks_chw: np.ndarray, rng: np.random.Generator, weights: EnhanceWeights = OURS
) -> Sample:
    """None or one of CLAHE, a 3-pixel Gaussian blur and a sharpening, as often as the weights say."""
    shares = weights.shares()
    drawn = rng.choice(list(shares), p=list(shares.values()))
    return ENHANCEMENTS[drawn](image_hwc, rng), masks_chw


def relight_slightly(image_hwc: np.ndarray, masks_chw: np.ndarray, rng: np.random.Generator) -> Sample:
    """Brightness and contrast up to 10 % up or down."""
    return _relight(image_hwc, rng, LIGHT_CHANGE), masks_chw


def relight_strongly(image_hwc: np.ndarray, masks_chw: np.ndarray, rng: np.random.Generator) -> Sample:
    """Brightness and contrast up to 25 % up or down, and a gamma between 1/1.4 and 1.4."""
    gamma = HEAVY_GAMMA ** rng.uniform(-1, 1)
    image_hwc = _with_v2(lambda pixels: v2.adjust_gamma(pixels, gamma), image_hwc)
    return _relight(image_hwc, rng, HEAVY_CHANGE), masks_chw


def tilt(image_hwc: np.ndarray, masks_chw: np.ndarray, rng: np.random.Generator) -> Sample:
    """A small rotation and enlargement, one time in two; what comes in from outside is black and no defect.

    Masks take the nearest pixel, so they keep their values and lie within half a pixel of the image's edges.
    """
    if rng.random() < 0.5:
        return image_hwc, masks_chw
    angle = rng.uniform(-HEAVY_ANGLE_DEGREES, HEAVY_ANGLE_DEGREES)
    scale = rng.uniform(*HEAVY_SCALE)

    def turn(pixels: Tensor, interpolation: InterpolationMode) -> Tensor:
        return v2.affine(pixels, angle, [0, 0], scale, [0.0, 0.0], interpolation=interpolation, fill=0)

    image_hwc = _with_v2(lambda pixels: turn(pixels, InterpolationMode.BILINEAR), image_hwc)
    return image_hwc, turn(torch.from_numpy(masks_chw), InterpolationMode.NEAREST).numpy()


def add_noise(image_hwc: np.ndarray, masks_chw: np.ndarray, rng: np.random.Generator) -> Sample:
    """Gaussian noise of up to 8 grey levels, the same in all channels, one time in two."""
    if rng.random() < 0.5:
        return image_hwc, masks_chw
    levels = rng.uniform(0, HEAVY_NOISE_LEVELS)
    noise = levels * rng.standard_normal((*image_hwc.shape[:2], 1), dtype=np.float32)
    return _add_levels(image_hwc, np.rint(noise).astype(np.int16)), masks_chw


RECIPES: dict[str, tuple[Augmentation, ...]] = {
    "none": (),
    "light": (flip, relight_slightly),
    "strip": (enhance, flip),
    "severstal-2019": (enhance, flip),
    "heavy": (tilt, enhance, relight_strongly, add_noise, flip),
}


@dataclass(frozen=True)
class Recipe:
    """An augmentation ready to be called, and to be sent to other processes."""

    steps: tuple[Augmentation, ...]
    crop_size: tuple[int, int] | None
    mask_aware_share: float
    crops_by: str

    def __call__(self, image_hwc: np.ndarray, masks_chw: np.ndarray, rng: np.random.Generator) -> Sample:
        if self.crop_size is not None:
            # First, so that the other steps work on the few pixels that are kept.
            image_hwc, masks_chw = crop(image_hwc, masks_chw, rng, self.crop_size, self.mask_aware_share, self.crops_by)
        for step in self.steps:
            image_hwc, masks_chw = step(image_hwc, np.ascontiguousarray(masks_chw), rng)
        return np.ascontiguousarray(image_hwc), np.ascontiguousarray(masks_chw)


def build_augmentation(settings: AugmentSettings) -> Recipe:
    """The named recipe. Raises InputError when there is none of that name."""
    if settings.recipe not in RECIPES:
        raise InputError(f"unknown augmentation recipe {settings.recipe!r}; choose one of {', '.join(RECIPES)}")
    weighted: dict[Augmentation, Augmentation] = {
        flip: partial(flip, weights=settings.flip_weights),
        enhance: partial(enhance, weights=settings.enhance_weights),
    }
    steps = (weighted.get(step, step) for step in RECIPES[settings.recipe])
    return Recipe(tuple(steps), settings.crop, settings.mask_aware_share, settings.crops_by)


def crop(
    image_hwc: np.ndarray,
    masks_chw: np.ndarray,
    rng: np.random.Generator,
    size: tuple[int, int],
    mask_aware_share: float,
    crops_by: str = "class",
) -> Sample:
    """Cut `size` (height, width) out: anywhere, or, in `mask_aware_share` of images with a defect, on one.

    A smaller side stays as it is: padding is the batch's business (dataset.collate), which knows how little it needs.
    """
    size = min(size[0], image_hwc.shape[0]), min(size[1], image_hwc.shape[1])
    spare = image_hwc.shape[0] - size[0], image_hwc.shape[1] - size[1]
    wants_defect = rng.random() < mask_aware_share
    corner = CROPS_BY[crops_by](masks_chw, rng, size, spare) if wants_defect else None
    top, left = corner or (int(rng.integers(room + 1)) for room in spare)
    window = np.s_[top : top + size[0], left : left + size[1]]
    return image_hwc[window], masks_chw[:, *window]


def _corner_by_class(
    masks_chw: np.ndarray, rng: np.random.Generator, size: tuple[int, int], spare: tuple[int, int]
) -> tuple[int, int] | None:
    """Of a crop on a defect's pixel: each class present is as likely, then each of its pixels, then each place.

    Were all pixels alike, small classes would hardly be seen beside large ones. None without a defect.
    """
    masks_chw = (masks_chw == 1).view(np.uint8)  # what nobody judged is no defect
    areas = [cv2.countNonZero(mask_hw) for mask_hw in masks_chw]
    present = np.flatnonzero(areas)
    if not len(present):
        return None
    chosen = rng.choice(present)
    column, row = cv2.findNonZero(masks_chw[chosen]).reshape(-1, 2)[rng.integers(areas[chosen])]
    top, left = (
        int(rng.integers(max(0, at - side + 1), min(at, room) + 1))
        for at, side, room in zip((int(row), int(column)), size, spare, strict=True)
    )
    return top, left


def _corner_by_pixel(
    masks_chw: np.ndarray, rng: np.random.Generator, size: tuple[int, int], spare: tuple[int, int]
) -> tuple[int, int] | None:
    """Of a crop on one of all pixels that show a defect, whichever; pushed back to the border where it sticks out.

    So it was in 2019 (CropNonEmptyMaskIfExists): large defects and the strip's ends are seen more often.
    """
    defect_hw = (masks_chw == 1).any(axis=0).astype(np.uint8)  # what nobody judged is no defect
    pixels = cv2.findNonZero(defect_hw)
    if pixels is None:
        return None
    column, row = pixels.reshape(-1, 2)[rng.integers(len(pixels))]
    top, left = (
        min(max(at - int(rng.integers(side)), 0), room)
        for at, side, room in zip((int(row), int(column)), size, spare, strict=True)
    )
    return top, left


Corner = Callable[[np.ndarray, np.random.Generator, tuple[int, int], tuple[int, int]], tuple[int, int] | None]
CROPS_BY: dict[str, Corner] = {"class": _corner_by_class, "pixel": _corner_by_pixel}


def _with_v2(change: Callable[[Tensor], Tensor], image_hwc: np.ndarray) -> np.ndarray:
    """Apply a function of torchvision, which has channels first, to an image."""
    pixels = torch.from_numpy(np.ascontiguousarray(image_hwc)).permute(2, 0, 1)
    return change(pixels).permute(1, 2, 0).numpy()


def _relight(image_hwc: np.ndarray, rng: np.random.Generator, change: float) -> np.ndarray:
    brightness, contrast = rng.uniform(1 - change, 1 + change, size=2)
    return _with_v2(lambda pixels: v2.adjust_contrast(v2.adjust_brightness(pixels, brightness), contrast), image_hwc)


def _clahe(image_hwc: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Local contrast by adaptive histograms, on the grey image; its change is added to every channel.

    So an image that is grey in three channels stays grey, and changes as it would in one.
    """
    equalise = cv2.createCLAHE(float(rng.uniform(*CLAHE_CLIP_LIMIT)), CLAHE_TILES)
    grey_hw = image_hwc[..., 0] if image_hwc.shape[2] == 1 else cv2.cvtColor(image_hwc, cv2.COLOR_RGB2GRAY)
    change_hw = equalise.apply(grey_hw).astype(np.int16) - grey_hw
    return _add_levels(image_hwc, change_hw[..., None])


def _blur(image_hwc: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    # OpenCV, since torchvision takes 20 times as long on one channel and 200 times on three.
    return cv2.GaussianBlur(image_hwc, BLUR_PIXELS, 0).reshape(image_hwc.shape)


def _sharpen(image_hwc: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image plus 0.2 to 0.3 of its second derivative over the eight neighbours."""
    share = rng.uniform(*SHARPEN_SHARE)
    kernel = np.full((3, 3), -share, np.float32)
    kernel[1, 1] = 1 + 8 * share
    return cv2.filter2D(image_hwc, -1, kernel).reshape(image_hwc.shape)


def _keep(image_hwc: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return image_hwc


ENHANCEMENTS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "none": _keep,
    "clahe": _clahe,
    "blur": _blur,
    "sharpen": _sharpen,
}


def _add_levels(image_hwc: np.ndarray, levels_hw1: np.ndarray) -> np.ndarray:
    return np.clip(image_hwc.astype(np.int16) + levels_hw1, 0, 255).astype(np.uint8)
