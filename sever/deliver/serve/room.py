"""How much may be on its way at once: a place is taken before a request's body is read, and given back at its end.

Nothing queues outside of it, so memory has a bound: what finds no place is refused at once. Used from the event loop
only, hence without locks.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from sever.deliver.serve.refusal import busy

RECENT = 64


class Room:
    """Places for images, and for their pixels once these are known."""

    def __init__(self, places: int, pixels: int) -> None:
        self.places, self.pixels = places, pixels
        self.taken, self.taken_pixels, self.refused = 0, 0, 0
        self._ended: deque[float] = deque(maxlen=RECENT)

    @contextmanager
    def place(self, images: int = 1) -> Iterator[None]:
        """Raises Refusal (429) where too few places are free."""
        if self.taken + images > self.places:
            self.refused += images
            raise busy(self.retry_after())
        self.taken += images
        try:
            yield
        finally:
            self.taken -= images
            self._ended.append(time.monotonic())

    @contextmanager
    def hold_pixels(self, pixels: int) -> Iterator[None]:
        """Raises Refusal (429) where decoded images would take too much memory; one alone always fits."""
        if self.taken_pixels and self.taken_pixels + pixels > self.pixels:
            self.refused += 1
            raise busy(self.retry_after())
        self.taken_pixels += pixels
        try:
            yield
        finally:
            self.taken_pixels -= pixels

    def retry_after(self) -> int:
        """Seconds until half of what waits is done, at the pace of the last images."""
        if len(self._ended) < 2:
            return 1
        pace = (self._ended[-1] - self._ended[0]) / (len(self._ended) - 1)
        return max(1, min(60, round(pace * self.taken / 2)))
