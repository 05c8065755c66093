"""How two small pictures lie on each other: turn, shift, shared part, likeness; knows no files.

Phase correlation (Kuglin and Hines, 1975): the cross-spectrum without its moduli has one peak, at the shift. Since all
frequencies count alike, equal texture makes no peak: rolling marks correlate highly at any shift and have none here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple, TypeAlias

import numpy as np
import scipy.fft

Canvas: TypeAlias = tuple[int, int]
Window: TypeAlias = tuple[slice, slice]

# The eight ways to lay a picture down. Each pair differs by half a turn, which a spectrum's modulus can't see.
TURNS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda picture: picture,
    "half turn": lambda picture: picture[::-1, ::-1],
    "left-right": lambda picture: picture[:, ::-1],
    "top-bottom": lambda picture: picture[::-1],
    "diagonal": lambda picture: picture.T,
    "other diagonal": lambda picture: picture[::-1, ::-1].T,
    "quarter turn left": lambda picture: picture.T[::-1],
    "quarter turn right": lambda picture: picture[::-1].T,
}
# What each pair does to a spectrum's modulus, in the same order.
SPECTRUM_TURNS = tuple(TURNS)[::2]
HALF_TURN = dict(zip(SPECTRUM_TURNS, tuple(TURNS)[1::2], strict=True))
LEAST_OVERLAP = 0.3  # of each side; less shares too few pixels to be judged
CANVAS = 1.5  # sides of the canvas on which pictures shift: a shift up to 0.75 sides stays unambiguous
PEAK_PIXELS = 1.0  # sigma of a peak, since a shift is no whole number of small pixels


class Alignment(NamedTuple):
    """The second picture, turned and then moved down and right by these shares of the first one's sides, fits best.

    `overlap` is the share of the smaller picture that both show. `likeness` is the height of the phase correlation's
    peak, 1 for equal pictures; about 0.1 for strangers, and about the overlap for pictures of one place.
    """

    turn: str
    down: float
    right: float
    overlap: float
    likeness: float


class SmallPicture:
    """A small picture without light, and its spectra, which are kept since it meets many others."""

    def __init__(self, detail_hw: np.ndarray) -> None:
        self.detail_hw = detail_hw
        self._spectra: dict[tuple[str, Canvas], np.ndarray] = {}

    def spectrum(self, turn: str, canvas: Canvas) -> np.ndarray:
        if (turn, canvas) not in self._spectra:
            turned = TURNS[turn](self.detail_hw)
            window = np.outer(*(np.hanning(side + 2)[1:-1].astype(np.float32) for side in turned.shape))
            self._spectra[turn, canvas] = scipy.fft.rfft2(turned * window, canvas)
        return self._spectra[turn, canvas]


def align(first: SmallPicture, second: SmallPicture, turns: Iterable[str] = SPECTRUM_TURNS) -> Alignment | None:
    """The best of some turns, each with half a turn more too; None where no turn lays enough on each other."""
    found = [alignment for turn in turns for alignment in _align_turned(first, second, turn)]
    return max(found, key=lambda each: each.likeness, default=None)


def _align_turned(first: SmallPicture, second: SmallPicture, turn: str) -> Iterator[Alignment]:
    turned = TURNS[turn](second.detail_hw)
    canvas = _canvas(first.detail_hw.shape, turned.shape)
    left, right = first.spectrum("none", canvas), second.spectrum(turn, canvas)
    shapes = first.detail_hw.shape, turned.shape
    yield from _placed(*shapes, turn, *_peak(left * np.conj(right), canvas, (0, 0)))
    # A convolution is the correlation with a picture that has made half a turn about its first pixel.
    start = turned.shape[0] - 1, turned.shape[1] - 1
    yield from _placed(*shapes, HALF_TURN[turn], *_peak(left * right, canvas, start))


def _canvas(*shapes: tuple[int, ...]) -> Canvas:
    height, width = (
        scipy.fft.next_fast_len(round(CANVAS * max(sides)), real=True) for sides in zip(*shapes, strict=True)
    )
    return height, width


def _peak(cross: np.ndarray, canvas: Canvas, start: tuple[int, int]) -> tuple[tuple[int, int], float]:
    """Where the phase correlation is highest (down and right, counted from `start`), and how high."""
    taper = _taper(canvas)
    peaks = scipy.fft.irfft2(cross * (taper / (np.abs(cross) + 1e-6)), canvas)
    at = np.unravel_index(int(peaks.argmax()), canvas)
    down, right = ((int(place) - begin) % side for place, begin, side in zip(at, start, canvas, strict=True))
    shift = down - canvas[0] * (down > canvas[0] // 2), right - canvas[1] * (right > canvas[1] // 2)
    return shift, float(peaks.max() / _highest(canvas))


@cache
def _taper(canvas: Canvas) -> np.ndarray:
    """The spectrum of a Gaussian, which makes a peak between pixels as high as one on a pixel."""
    rows, columns = np.fft.fftfreq(canvas[0]), np.fft.rfftfreq(canvas[1])
    return np.exp(-2 * (np.pi * PEAK_PIXELS) ** 2 * (rows[:, None] ** 2 + columns[None] ** 2)).astype(np.float32)


@cache
def _highest(canvas: Canvas) -> float:
    """The peak of a picture's phase correlation with itself."""
    return float(scipy.fft.irfft2(_taper(canvas).astype(np.complex64), canvas)[0, 0])


def _placed(
    first: tuple[int, ...], second: tuple[int, ...], turn: str, shift: tuple[int, int], likeness: float
) -> Iterator[Alignment]:
    """The alignment of two shapes at a shift, where enough is shared."""
    rows, columns = shared_parts(first, second, shift)[0]
    shared = rows.stop - rows.start, columns.stop - columns.start
    if all(part >= LEAST_OVERLAP * min(sides) for part, *sides in zip(shared, first, second, strict=True)):
        down, right = (move / side for move, side in zip(shift, first, strict=True))
        overlap = math.prod(shared) / min(math.prod(first), math.prod(second))
        yield Alignment(turn, down, right, overlap, likeness)


def shared_parts(first: Sequence[int], second: Sequence[int], shift: tuple[int, int]) -> tuple[Window, Window]:
    """What both show, in each: rows and columns, when the second one's corner lies `shift` down and right."""
    windows = []
    for move, *sides in zip(shift, first, second, strict=True):
        start = max(move, 0)
        stop = max(start, min(sides[0], sides[1] + move))
        windows.append((slice(start, stop), slice(start - move, stop - move)))
    return (windows[0][0], windows[1][0]), (windows[0][1], windows[1][1])
