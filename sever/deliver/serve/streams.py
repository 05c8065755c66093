"""Streams that are being answered: a stop waits for the image that each of them has taken; knows no socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Streams:
    """Used from the event loop only, hence without locks."""

    def __init__(self) -> None:
        self.are_ending = False
        self._at_work = 0
        self._done = asyncio.Event()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """One image from its message to its answer."""
        self._at_work += 1
        try:
            yield
        finally:
            self._at_work -= 1
            if not self._at_work:
                self._done.set()

    async def end(self, seconds: float) -> None:
        """Returns when no image is at work any more, or after so long; no further one is to be taken."""
        self.are_ending = True
        self._done.clear()
        if not self._at_work:
            return
        try:
            await asyncio.wait_for(self._done.wait(), seconds)
        except TimeoutError:
            return
