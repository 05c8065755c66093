"""When to try again, and how long to wait before; knows nothing of what is tried."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

TOO_MANY = 429
# The server, or one on the way to it, is at fault for the moment.
TRANSIENT = (500, 502, 503, 504)


class PatienceMeter(Protocol):
    """Told as work goes on; `sever.progress.meter` makes them."""

    def advance(self, amount: int = 1, note: str = "") -> None: ...


@dataclass(frozen=True)
class Patience:
    """How often something is tried, and the waits between, in seconds; the wait doubles from one to the next.

    longest_seconds: of our own waits; longest_asked_seconds: beyond this, a wait that the server asks for is an error.
    """

    attempts: int = 5
    first_seconds: float = 2.0
    longest_seconds: float = 60.0
    longest_asked_seconds: float = 900.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def backoff_seconds(self, failures: int) -> float:
        """The wait after so many failures in a row, 1 or more."""
        return float(min(self.first_seconds * 2 ** (failures - 1), self.longest_seconds))


def asked_seconds(headers: Mapping[str, str]) -> float | None:
    """What Retry-After says, in seconds from now (RFC 9110: seconds or a date); None where it says nothing usable."""
    text = headers.get("Retry-After")
    if text is None:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)  # "-0000": UTC, of a place that is not told
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
