"""Work ahead of the consumer, on threads, never further than a stated depth: memory stays bounded."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Those that this process may use: a container or `taskset` may leave it fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], depth: int, threads: int = 2
) -> Iterator[Result]:
    """Like `map`, in order, with at most `depth` results waiting. Errors are raised where their result would come."""
    assert depth >= 1
    pending: deque[Future[Result]] = deque()
    source = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        try:
            pending.extend(pool.submit(function, item) for item in islice(source, depth))
            while pending:
                result = pending.popleft().result()
                pending.extend(pool.submit(function, item) for item in islice(source, 1))
                yield result
        finally:
            for future in pending:
                future.cancel()


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Consecutive lists of `size` items; the last may be shorter."""
    source = iter(items)
    while chunk := list(islice(source, size)):
        yield chunk
