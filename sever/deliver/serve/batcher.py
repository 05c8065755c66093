"""Images of different requests go through the network together; one thread calls the model, in the order of arrival.

A batch takes whatever waits when the one before is done, so that it is small when little is going on and full under
load, and nobody waits for company (unless `wait_seconds` says so). Who gave up is passed over. It knows no HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from sever.deliver.serve.model import InspectionLike, ServedModel
from sever.deliver.serve.refusal import late

LOGGER = logging.getLogger("sever.serve")


@dataclass
class Waiting:
    """An image and the model that was in service when it came."""

    model: ServedModel
    image_hwc: np.ndarray
    answered: asyncio.Future[InspectionLike]
    since: float = field(default_factory=time.monotonic)


class Batcher:
    """`after_batch(model, images, inspections, seconds)` is told of every batch, in the event loop."""

    def __init__(self, max_images: int, wait_seconds: float) -> None:
        self.max_images, self.wait_seconds = max_images, wait_seconds
        self.after_batch: list[Callable[[ServedModel, list[np.ndarray], list[InspectionLike], float], None]] = []
        self.when_idle: Callable[[], Callable[[], None] | None] = lambda: None
        self._waiting: deque[Waiting] = deque()
        self._came = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sever-model")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._work(), name="sever-batches")

    async def stop(self) -> None:
        """Ends after the batch at work; the server has by then waited for what was accepted."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._thread.shutdown(wait=True)

    @property
    def depth(self) -> int:
        return len(self._waiting)

    async def inspect(self, model: ServedModel, image_hwc: np.ndarray, seconds: float) -> InspectionLike:
        """What `model` finds in an image. Raises Refusal (503) when it takes longer than `seconds`."""
        waiting = Waiting(model, image_hwc, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._came.set()
        try:
            async with asyncio.timeout(seconds):
                return await waiting.answered
        except TimeoutError as error:
            raise late(seconds) from error
        finally:
            waiting.answered.cancel()

    async def in_model_thread(self, call: Callable[[], None]) -> None:
        """Run something between two batches, such as the warming up of another model."""
        await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def wake(self) -> None:
        """There is something for `when_idle` to do."""
        self._came.set()

    async def _work(self) -> None:
        while True:
            self._came.clear()
            if not self._waiting:
                extra = self.when_idle()
                if extra is None:
                    await self._came.wait()
                    continue
                await self._guarded(extra)
                continue
            if self.wait_seconds and len(self._waiting) < self.max_images:
                await asyncio.sleep(self.wait_seconds)
            if batch := self._next_batch():
                await self._run(batch)

    def _next_batch(self) -> list[Waiting]:
        """Images for one model, in order; those whose client has gone are dropped here."""
        batch: list[Waiting] = []
        while self._waiting and len(batch) < self.max_images:
            if self._waiting[0].answered.done():
                self._waiting.popleft()
            elif batch and self._waiting[0].model is not batch[0].model:
                break
            else:
                batch.append(self._waiting.popleft())
        return batch

    async def _run(self, batch: list[Waiting]) -> None:
        model, images = batch[0].model, [each.image_hwc for each in batch]
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        try:
            inspections = list(await loop.run_in_executor(self._thread, model.inspect, images))
        except Exception as error:  # one answer a request, whatever the model's library raises; the next batch goes on
            LOGGER.exception("the model failed on a batch of %d images", len(batch))
            for each in batch:
                if not each.answered.done():
                    each.answered.set_exception(error)
            return
        for each, inspection in zip(batch, inspections, strict=True):
            if not each.answered.done():
                each.answered.set_result(inspection)
        for note in self.after_batch:
            note(model, images, inspections, time.monotonic() - began)

    async def _guarded(self, extra: Callable[[], None]) -> None:
        try:
            await self.in_model_thread(extra)
        except Exception:
            LOGGER.exception("work beside the answers failed")
