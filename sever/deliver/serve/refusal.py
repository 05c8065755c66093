"""Requests that can't be served: what was given, what is allowed, what to do, and the HTTP status that says so."""

from __future__ import annotations


class Refusal(Exception):
    """Raised anywhere below a request; `retry_after` in seconds where trying again later helps."""

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after = status, message, retry_after


def busy(retry_after: int) -> Refusal:
    return Refusal(429, "all places are taken by other images; send it again after Retry-After seconds", retry_after)


def late(seconds: float) -> Refusal:
    return Refusal(503, f"the image was not inspected within its {seconds:g} s; send it again, or allow more", 1)
