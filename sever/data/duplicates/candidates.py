"""Which pairs are worth a closer look, by the speckle of their spectra; knows no pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sever.data.duplicates.alignment import SPECTRUM_TURNS, TURNS
from sever.data.duplicates.fingerprint import COMPARED, place_numbers

# Correlations: two views of one place have 0.25 (nearly black) to 1, strangers 0 to 0.3, where lines lie alike.
LEAST = 0.2
# So an image's own strangers say what is remarkable: this many robust standard deviations above their median. Among few
# images there may be more twins than strangers, so that no more than ENOUGH is ever asked for.
DEVIATIONS = 4.0
ENOUGH = 0.5
NORMAL_MAD = 1.4826  # standard deviations of a normal distribution in its median absolute deviation
BLOCK = 512


def find_candidates(
    speckles: np.ndarray, advance: Callable[[int], None] = lambda done: None
) -> list[tuple[int, int, str]]:
    """Pairs first < second of (N, D) speckles, in order, each with the turn in which they are most alike.

    Memory: a few arrays of BLOCK times N. `advance` hears how many images were compared with all.
    """
    places = [TURNS[turn](place_numbers())[COMPARED] for turn in SPECTRUM_TURNS]
    found, remarkable = [], []
    for start in range(0, len(speckles), BLOCK):
        block = speckles[start : start + BLOCK]
        # Turning the few is as good as turning the many: each of these turns undoes itself, or its twin.
        scores, turns = block @ speckles.T, np.zeros((len(block), len(speckles)), np.int8)
        for number, place in enumerate(places[1:], start=1):
            turned = block[:, place] @ speckles.T
            turns[turned > scores] = number
            np.maximum(scores, turned, out=scores)
        remarkable.append(_remarkable(scores))
        rows, columns = np.nonzero(scores > LEAST)
        later = columns > rows + start
        rows, columns = rows[later], columns[later]
        found.append((rows + start, columns, scores[rows, columns], turns[rows, columns]))
        advance(min(start + BLOCK, len(speckles)))
    limits = np.concatenate(remarkable)
    firsts, seconds, scores, turns = (np.concatenate(part) for part in zip(*found, strict=True))
    keep = scores > np.maximum(limits[firsts], limits[seconds])
    names = np.array(SPECTRUM_TURNS)[turns[keep]]
    return list(zip(firsts[keep].tolist(), seconds[keep].tolist(), names.tolist(), strict=True))


def _remarkable(scores: np.ndarray) -> np.ndarray:
    """(n,) the score above which an image's pair is remarkable, from its scores (n, N) with all images."""
    middle = np.median(scores, axis=1)
    spread = NORMAL_MAD * np.median(np.abs(scores - middle[:, None]), axis=1)
    return np.clip(middle + DEVIATIONS * spread, LEAST, ENOUGH)
