"""What is compared of an image: a small picture without its light, and the speckle of its spectrum; knows no pairs.

The modulus of a Fourier transform doesn't change when the picture shifts, and its logarithm, less its smooth part, is
different for every picture even where all show the same texture: texture is the smooth part. So pictures of one roll
are strangers here, and two pictures of one place are not (the speckle of a spectrum: Goodman, Speckle Phenomena in
Optics, 2007, chapter 3, has the statistics).
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import scipy.fft

SIDE = 96  # pixels of the shorter side of a small picture
GRID = 96  # steps of the grid of frequencies on which every spectrum is taken, whatever the picture's size
RADIUS = 32  # steps up to which frequencies are compared: what is finer is lost first by JPEG, noise and enlargement
LEAST_RADIUS = 3  # what is coarser is light
LIGHT_PIXELS = SIDE / 8  # sigma of the part of a small picture that counts as light
SMOOTH_STEPS = 2.5  # sigma of the part of a log spectrum that counts as texture
# Below these nothing but rounding is left.
FLAT = 0.25  # grey levels
SILENCE = 1e-2

_STEPS = np.arange(-RADIUS, RADIUS + 1)
_DISTANCE = np.hypot(_STEPS[:, None], _STEPS[None])
_IN_BAND = (_DISTANCE >= LEAST_RADIUS) & (_DISTANCE <= RADIUS)
# The spectrum of a real picture says everything twice: only half of it is compared.
_HALF = (_STEPS[:, None] > 0) | ((_STEPS[:, None] == 0) & (_STEPS[None] > 0))
COMPARED = _IN_BAND & _HALF


def place_numbers() -> np.ndarray:
    """(2 * RADIUS + 1, 2 * RADIUS + 1) int: where in a speckle each place of the plane stands, -1 out of the band."""
    numbers = np.full(COMPARED.shape, -1)
    numbers[COMPARED] = np.arange(COMPARED.sum())
    return np.maximum(numbers, numbers[::-1, ::-1])


def shrink_factor(sizes: list[tuple[int, int]]) -> float:
    """One factor for a whole set, so that equal things stay equally large: the median shorter side becomes SIDE."""
    return min(1.0, SIDE / float(np.median([min(size) for size in sizes])))


def small_picture(image_hw: np.ndarray, factor: float) -> np.ndarray:
    """The picture made small: (h, w) uint8, at least 8 pixels a side."""
    height, width = (max(8, round(side * factor)) for side in image_hw.shape)
    return cv2.resize(image_hw, (width, height), interpolation=cv2.INTER_AREA)


def without_light(picture_hw: np.ndarray) -> np.ndarray:
    """(h, w) float32 of local mean 0 and local contrast 1: brightness, contrast and shading are gone."""
    detail = picture_hw.astype(np.float32)
    detail -= cv2.GaussianBlur(detail, (0, 0), LIGHT_PIXELS)
    return detail / np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), LIGHT_PIXELS) + FLAT**2)


def speckle(detail_hw: np.ndarray) -> np.ndarray:
    """(D,) float32 of length 1: the log spectrum around frequency 0 less its smooth part, one half plane."""
    height, width = detail_hw.shape
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1]).astype(np.float32)
    steps = [math.ceil(side / GRID) for side in detail_hw.shape]
    spectrum = scipy.fft.fft2(detail_hw * window, [GRID * step for step in steps])[:: steps[0], :: steps[1]]
    energy = np.abs(spectrum) ** 2 / window.sum()
    log_energy = np.log(np.fft.fftshift(energy) + SILENCE).astype(np.float32)
    log_energy -= cv2.GaussianBlur(log_energy, (0, 0), SMOOTH_STEPS)
    centre = GRID // 2
    near = slice(centre - RADIUS, centre + RADIUS + 1)
    marks = log_energy[near, near][COMPARED]
    return marks / (np.linalg.norm(marks) + 1e-9)
