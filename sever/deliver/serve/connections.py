"""What a connection may do before its request is known: a bounded head, in a bounded time, on a bounded number of them.

uvicorn with httptools takes heads of any length, and waits for their end for ever; no middleware sees such a request.
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
        """Counts what came since the last request's head was whole; a clock runs until the next one is."""

        _head_bytes = 0
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
            # A body comes with the end of its head, and is counted elsewhere.
            if was_in_head and self._is_in_head and self._head_bytes > MOST_HEAD_BYTES:
                self.transport.write(TOO_LARGE)
                self.transport.close()

        def on_headers_complete(self) -> None:
            self._is_in_head, self._head_bytes = False, 0
            self._stop_clock()
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._is_in_head = True
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
            if self._is_in_head and not self.transport.is_closing():
                self.transport.close()

    made: Any = Guarded
    return made
