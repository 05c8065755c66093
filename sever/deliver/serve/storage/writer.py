"""All writing to the database, by one thread: what waits at the same time is committed together, then acknowledged.

One commit for many answers is what makes a durable answer cheap. Each job has a savepoint: a fault undoes that job
alone. Who submits a job gets its result only after the commit.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from sever.deliver.serve.storage.database import WRITES

T = TypeVar("T")
MOST_TOGETHER = 64
_Job = tuple[Callable[[Connection], Any], "Future[Any]"]


class Writer:
    """Start it, submit calls that take a connection, stop it; what was submitted before the stop is written."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="sever-writer", daemon=True)
        self._thread.start()

    def submit(self, call: Callable[[Connection], T]) -> Future[T]:
        result: Future[T] = Future()
        self._jobs.put((call, result))
        return result

    def write(self, call: Callable[[Connection], T]) -> T:
        """Wait for it; from any thread but the event loop's."""
        return self.submit(call).result()

    async def write_soon(self, call: Callable[[Connection], T]) -> T:
        """The same from the event loop. A caller who gives up does not undo what is being written."""
        return await asyncio.shield(asyncio.wrap_future(self.submit(call)))

    def stop(self) -> None:
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while True:
            jobs, is_last = self._take()
            if jobs:
                self._commit(jobs)
            if is_last:
                return

    def _take(self) -> tuple[list[_Job], bool]:
        """The jobs that wait, at least one; and whether the stop is among them."""
        jobs: list[_Job] = []
        job = self._jobs.get()
        while job is not None:
            jobs.append(job)
            if len(jobs) == MOST_TOGETHER or self._jobs.empty():
                return jobs, False
            job = self._jobs.get()
        return jobs, True

    def _commit(self, jobs: list[_Job]) -> None:
        outcomes: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            with self._engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
                outcomes = [(result, *_attempt(connection, call)) for call, result in jobs]
        except Exception as error:  # the commit itself, such as a full disk: nobody's job is done
            outcomes = [(result, None, error) for _, result in jobs]
        for result, value, fault in outcomes:
            result.set_exception(fault) if fault is not None else result.set_result(value)


def _attempt(connection: Connection, call: Callable[[Connection], T]) -> tuple[T | None, BaseException | None]:
    try:
        with connection.begin_nested():
            return call(connection), None
    except Exception as error:
        return None, error
