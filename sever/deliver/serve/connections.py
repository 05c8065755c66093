"""What a connection may do that no middleware sees: a bounded head, in a bounded time, on a bounded number of them, and
a body that ends in time, too, when its request was answered before it was whole (401, 429).

uvicorn with httptools takes heads of any length, and waits for their end, and for that of such a body, for ever.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sever.config.serve import LimitSettings

LOGGER = logging.getLogger("sever.serve")
MOST_HEAD_BYTES = 64 << 10
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


def guarded(limits: LimitSettings) -> type[asyncio.Protocol]:
    """uvicorn's protocol with these limits."""

    class Guarded(HttpToolsProtocol):
        """Counts a head as it comes; a clock runs until it is whole, and once more until its body is."""

        _head_bytes = 0  # that came before the head was whole; a body may come with the end of its head
        _whole_bytes = 0  # of the head's own lines
        _is_in_head = True
        _clock: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > limits.max_connections:
                LOGGER.warning(
                    "more than %d connections (limits.max_connections); one is closed", limits.max_connections
                )
                transport.close()
                return
            self._start_clock()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_clock()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._is_in_head:
                self._head_bytes += len(data)
                if self._clock is None:
                    self._start_clock()
            was_in_head = self._is_in_head
            super().data_received(data)
            if was_in_head and self._is_in_head and self._head_bytes > MOST_HEAD_BYTES:
                self._refuse_head()

        def on_url(self, url: bytes) -> None:
            super().on_url(url)
            self._count_whole(url)

        def on_header(self, name: bytes, value: bytes) -> None:
            super().on_header(name, value)
            self._count_whole(name, value)

        def on_headers_complete(self) -> None:
            self._is_in_head, self._head_bytes, self._whole_bytes = False, 0, 0
            self._stop_clock()
            self._start_clock()
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._is_in_head = True
            self._stop_clock()
            super().on_message_complete()

        def handle_websocket_upgrade(self) -> None:
            self._stop_clock()
            super().handle_websocket_upgrade()

        def _start_clock(self) -> None:
            self._clock = self.loop.call_later(limits.body_seconds, self._too_late)

        def _stop_clock(self) -> None:
            if self._clock is not None:
                self._clock.cancel()
                self._clock = None

        def _too_late(self) -> None:
            self._clock = None
            if self.transport.is_closing():
                return
            if self._is_in_head or self.cycle.response_complete:
                self.transport.close()
            else:  # whoever reads the body has a clock of his own; what comes after his answer is cut off here
                self._start_clock()

        def _count_whole(self, *parts: bytes) -> None:
            self._whole_bytes += sum(map(len, parts))
            if self._whole_bytes > MOST_HEAD_BYTES:
                self._refuse_head()
                raise ValueError("the head is too large")  # which ends the parser's work

        def _refuse_head(self) -> None:
            self.transport.write(TOO_LARGE)
            self.transport.close()

    made: Any = Guarded
    return made
