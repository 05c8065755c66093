"""How often somebody may do something: a bucket of tokens each, filled at an even pace; bounded in memory."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from sever.deliver.serve.refusal import Refusal

MOST_BUCKETS = 10_000


class Rate:
    """`burst` at once, then `per_second`. Who has not been seen for longest is forgotten first."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second, self.burst, self._clock = per_second, burst, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, who: str) -> None:
        """Raises Refusal (429) where the bucket is empty."""
        now = self._clock()
        tokens, since = self._buckets.pop(who, (self.burst, now))
        tokens = min(self.burst, tokens + (now - since) * self.per_second)
        self._buckets[who] = (tokens - 1 if tokens >= 1 else tokens, now)
        if len(self._buckets) > MOST_BUCKETS:
            self._buckets.popitem(last=False)
        if tokens < 1:
            wait = max(1, math.ceil((1 - tokens) / self.per_second))
            raise Refusal(429, f"too many requests; try again in {wait} s", wait)
