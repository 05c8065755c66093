"""Run lengths as the competition writes them, to masks and back; knows no files, images or classes.

The form is "start length start length ...": starts count pixels from 1, down each column and on to the next;
runs ascend and never overlap, though they may touch; "" is an empty mask.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import cv2
import numpy as np

from sever.errors import InputError

# Up to 17 digits fit into int64 with room for start + length; the plain form goes the fast way.
_PLAIN = re.compile(r"[0-9]{1,17} [0-9]{1,17}(?: [0-9]{1,17} [0-9]{1,17})*")
_NUMBER = re.compile(r"-?[0-9]+")
# Python itself refuses to read numbers of more than 4,300 digits.
MOST_DIGITS = 40


def encode(mask_hw: np.ndarray) -> str:
    """The run lengths of a mask (H, W); every value but 0 counts as defect."""
    assert mask_hw.ndim == 2, f"a mask is (height, width), not {mask_hw.shape}"
    if not mask_hw.any():
        return ""  # most masks are empty
    return _encode_flat(_column_major(mask_hw))


def encode_masks(masks_chw: np.ndarray) -> list[str]:
    """The run lengths of each mask in (C, H, W)."""
    return [encode(mask_hw) for mask_hw in masks_chw]


def decode(runs: str, height: int, width: int) -> np.ndarray:
    """The mask (H, W) uint8 of 0 and 1. Raises InputError with what is wrong with the run lengths."""
    if not runs.strip():
        return np.zeros((height, width), np.uint8)
    numbers, fault = _read(runs, height * width)
    if fault:
        raise InputError(fault)
    numbers = numbers.astype(np.int64)
    edges = np.zeros(len(numbers) + 2, np.int64)
    edges[1:-1:2] = numbers[::2] - 1
    edges[2:-1:2] = edges[1:-1:2] + numbers[1::2]
    edges[-1] = height * width
    values = np.arange(len(edges) - 1, dtype=np.uint8) & 1
    flat = np.repeat(values, np.diff(edges))
    # OpenCV transposes in blocks, several times faster than numpy's strided copy.
    return cv2.transpose(flat.reshape(width, height))


def join_touching(runs: str) -> str:
    """Proper run lengths in the one form that `encode` writes for the same mask."""
    numbers = np.array(runs.split(), dtype=np.int64)
    starts, ends = numbers[::2], numbers[::2] + numbers[1::2]
    first = np.ones(len(starts), bool)
    first[1:] = starts[1:] != ends[:-1]
    last = np.roll(first, -1)
    joined = np.stack([starts[first], ends[last] - starts[first]], axis=1) if len(starts) else numbers
    return " ".join(map(str, joined.ravel().tolist()))


def find_fault(runs: str, pixels: int) -> str | None:
    """One sentence on what is wrong with run lengths in an image of so many pixels; None if nothing is."""
    return _read(runs, pixels)[1]


def find_faults(runs: Sequence[str], pixels: np.ndarray) -> dict[int, str]:
    """Position and fault of every bad one among many run lengths; `pixels` (N,) are their images' sizes.

    The same verdicts as `find_fault` one by one, but all numbers are read and compared at once.
    """
    faults: dict[int, str] = {}
    plain: list[int] = []
    for position, text in enumerate(runs):
        if _PLAIN.fullmatch(text):
            plain.append(position)
        elif fault := find_fault(text, int(pixels[position])):
            faults[position] = fault
    if not plain:
        return faults
    numbers = np.fromstring(" ".join([runs[position] for position in plain]), dtype=np.int64, sep=" ")
    counts = np.array([(runs[position].count(" ") + 1) // 2 for position in plain])
    owner = np.repeat(np.array(plain), counts)
    first = np.zeros(len(owner), bool)
    first[np.cumsum(counts) - counts] = True
    starts = numbers[::2]
    bad = _bad_runs(starts, starts + numbers[1::2], np.asarray(pixels)[owner], first)
    for position in np.unique(owner[bad]).tolist():
        fault = find_fault(runs[position], int(pixels[position]))
        assert fault, "the check of many and the check of one disagree"
        faults[position] = fault
    return faults


def _column_major(mask_hw: np.ndarray) -> np.ndarray:
    mask = mask_hw.view(np.uint8) if mask_hw.dtype == bool else mask_hw
    if mask.dtype != np.uint8:
        mask = (mask != 0).view(np.uint8)
    return cv2.transpose(mask).ravel() if mask.size else mask.ravel()


def _encode_flat(flat: np.ndarray) -> str:
    padded = np.zeros(flat.size + 2, bool)
    np.not_equal(flat, 0, out=padded[1:-1])
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    edges[1::2] -= edges[::2]
    edges[::2] += 1
    return " ".join(map(str, edges.tolist()))


def _read(runs: str, pixels: int) -> tuple[np.ndarray, str | None]:
    """The numbers in the text, and what is wrong with them."""
    if _PLAIN.fullmatch(runs):
        numbers = np.fromstring(runs, dtype=np.int64, sep=" ")
    else:
        tokens = runs.split()
        fault = _find_odd_text(tokens)
        if fault or not tokens:
            return np.zeros(0, np.int64), fault
        # numpy would cut a number beyond int64 to the largest one without a word; Python has no largest.
        numbers = np.array([int(token) for token in tokens], dtype=object)
    starts, ends = numbers[::2], numbers[::2] + numbers[1::2]
    bad = _bad_runs(starts, ends, np.full(len(starts), pixels), first=np.arange(len(starts)) == 0)
    return numbers, _describe_run(starts, ends, int(np.argmax(bad)), pixels)


def _find_odd_text(tokens: list[str]) -> str | None:
    if tokens == ["-1"]:
        return "-1 is not a run length; leave the field empty where there is no defect"
    for token in tokens:
        if not _NUMBER.fullmatch(token):
            return f"{token[:MOST_DIGITS]!r} in the run lengths is not a whole number"
        if len(token) > MOST_DIGITS:
            return f"a number of {len(token)} digits stands in the run lengths; no image has so many pixels"
    if len(tokens) % 2:
        return f"run lengths are pairs of start and length, but there are {len(tokens)} numbers, an odd count"
    return None


def _bad_runs(starts: np.ndarray, ends: np.ndarray, pixels: np.ndarray, first: np.ndarray) -> np.ndarray:
    """(runs,) bool; `first` marks the runs that have none before them in their own mask."""
    bad = (starts < 1) | (ends <= starts) | (ends - 1 > pixels)
    bad[1:] |= (starts[1:] < ends[:-1]) & ~first[1:]
    return bad


def _describe_run(starts: np.ndarray, ends: np.ndarray, at: int, pixels: int) -> str | None:
    start, end = int(starts[at]), int(ends[at])
    if start < 1:
        return f"run start {start} is below 1, the first pixel"
    if end <= start:
        return f"run length {end - start} at start {start} is below 1"
    if at and start < int(starts[at - 1]):
        return f"runs are not sorted: start {start} follows start {starts[at - 1]}"
    if at and start < int(ends[at - 1]):
        return f"runs overlap: start {start} lies in the run before it, which ends at {int(ends[at - 1]) - 1}"
    if end - 1 > pixels:
        return f"the run of {end - start} pixels at {start} ends at {end - 1}, but the image has {pixels} pixels"
    return None
