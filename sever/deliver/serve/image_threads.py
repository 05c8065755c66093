"""Separate threads for decoding and keeping images: a store of images that does not answer holds up no other work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sever.deliver.serve.refusal import late

T = TypeVar("T")
THREADS = 8


class ImageThreads:
    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="sever-images")

    async def run(self, call: Callable[[], T], seconds: float) -> T:
        """What `call` returns. Raises Refusal (503) after so long; what was begun ends later, for nobody."""
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except TimeoutError as error:
            raise late(seconds) from error

    def stop(self) -> None:
        """Ends without waiting for a store that does not answer."""
        self._threads.shutdown(wait=False, cancel_futures=True)
