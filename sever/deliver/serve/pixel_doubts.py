"""Images that are likely not what is meant: counted for Prometheus, and the 1st, 10th, 100th, ... are logged."""

from __future__ import annotations

import logging
import threading
from collections import Counter

from sever.counted import counted
from sever.data.codecs import UPRIGHT, Header
from sever.data.reader import CLIPPED_SHARE
from sever.deliver.serve.metrics import Metrics

LOGGER = logging.getLogger("sever.serve")
_WORDS = {
    "turned": "an orientation tag other than 1: pixels are used as they are stored, unturned",
    "pages": "more than one page: the first is used",
    "clipped": f"over {CLIPPED_SHARE:.0%} of the pixels clipped to white: they are brighter than the model's "
    "significant_bits can say",
}


class PixelDoubts:
    """From any thread."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._counts = Counter[str]()
        self._lock = threading.Lock()

    def look_at_header(self, name: str, header: Header) -> None:
        if header.orientation != UPRIGHT:
            self._note("turned", name)
        if header.pages > 1:
            self._note("pages", name)

    def look_at_clipping(self, name: str, clipped_share: float) -> None:
        if clipped_share > CLIPPED_SHARE:
            self._note("clipped", name)

    def _note(self, kind: str, name: str) -> None:
        self._metrics.doubtful.labels(kind).inc()
        with self._lock:
            self._counts[kind] += 1
            count = self._counts[kind]
        if count == 10 ** (len(str(count)) - 1):
            LOGGER.warning("%s so far with %s; the latest is %r", counted(count, "image"), _WORDS[kind], name)
