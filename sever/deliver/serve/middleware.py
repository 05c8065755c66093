"""Around every request: the name it came under, a bound on its body's size and time, security headers, a log line and
a count (plain ASGI)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sever.deliver.serve.metrics import Metrics
from sever.deliver.serve.refusal import Refusal
from sever.names import one_line

LOGGER = logging.getLogger("sever.serve")
# No inline scripts or styles, nothing from elsewhere, not in a frame.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "font-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def refused(refusal: Refusal, path: str = "") -> JSONResponse:
    """What a request that can't be served gets, always in this form; the Open Inference Protocol wants a plain text."""
    headers = {"retry-after": str(refusal.retry_after)} if refusal.retry_after is not None else {}
    if refusal.status == 401:
        headers["www-authenticate"] = "Bearer"
    message = {"status": refusal.status, "message": refusal.message}
    body = {"error": refusal.message if path.startswith("/v2") else message}
    return JSONResponse(body, refusal.status, headers)


# What brings images and masks; nothing else needs a body of more than this.
LARGE_BODIES, MOST_OTHER_BYTES = ("/v1/inspect", "/v1/overlay", "/v1/answers/", "/v2/"), 1 << 20
# A client that went away, as web servers log it; nobody is there to be told.
CLIENT_GONE = 499


class KnownHosts:
    """Refuses a request that comes under a name that is not ours, or under two: a page elsewhere that resolves its own
    name to this machine (DNS rebinding) comes under that name. `*.NAME` stands for all names below one."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self.app, self.hosts = app, frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        given = [value.decode("latin-1") for key, value in scope["headers"] if key == b"host"]
        if len(given) == 1 and self._is_ours(given[0].lower()):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            shown = repr(one_line(given[0][:100])) if given else "no name"
            words = f"this service is not reached under {shown}; add its name to the setting security.hosts"
            refusal = Refusal(400, words if len(given) < 2 else "a request has one Host header")
            await refused(refusal, scope["path"])(scope, receive, send)

    def _is_ours(self, host: str) -> bool:
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        above = name.partition(".")[2]
        return name in self.hosts or f"*.{above}" in self.hosts or "*" in self.hosts


class BodyLimit:
    """Refuses a body that is too large, by its header or while it comes, and one that comes too slowly."""

    def __init__(self, app: ASGIApp, max_bytes: int, seconds: float) -> None:
        self.app, self.max_bytes, self.seconds = app, max_bytes, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        told, most = dict(scope["headers"]).get(b"content-length", b"0"), self._most(scope["path"])
        if told.isdigit() and int(told[:20]) > most:
            await refused(too_large(most), scope["path"])(scope, receive, send)
            return
        if "\0" in scope["path"] or b"%00" in scope["query_string"]:  # which no database takes as text
            await refused(Refusal(400, "an address holds no NUL character"), scope["path"])(scope, receive, send)
            return
        body = _Body(most, self.seconds, receive, send)
        try:
            await self.app(scope, body.receive, body.send)
        except Refusal as refusal:
            if body.refusal is not refusal:
                raise
        if body.refusal is not None and not body.has_begun:
            await refused(body.refusal, scope["path"])(scope, receive, send)

    def _most(self, path: str) -> int:
        return self.max_bytes if path.startswith(LARGE_BODIES) else min(self.max_bytes, MOST_OTHER_BYTES)


def too_large(most: int) -> Refusal:
    setting = "" if most == MOST_OTHER_BYTES else " (limits.max_bytes)"
    return Refusal(413, f"the request is larger than {most:,} bytes{setting}")


class _Body:
    """One request's body on its way in."""

    def __init__(self, most: int, seconds: float, receive: Receive, send: Send) -> None:
        self._most, self._seconds, self._receive, self._send = most, seconds, receive, send
        self._count, self._until = 0, time.monotonic() + seconds
        self._is_whole = False
        self.refusal: Refusal | None = None
        self.has_begun = False

    async def receive(self) -> Message:
        if self._is_whole:
            return await self._receive()
        try:
            async with asyncio.timeout(max(0.0, self._until - time.monotonic())):
                message = await self._receive()
        except TimeoutError as error:
            raise self._refuse(Refusal(408, f"the request took longer than {self._seconds:g} s to arrive")) from error
        self._count += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        if self._count > self._most:
            raise self._refuse(too_large(self._most))
        return message

    async def send(self, message: Message) -> None:
        """What the application makes of our refusal (a bad request) is not what the client is told."""
        if self.refusal is not None and not self.has_begun:
            return
        self.has_begun = True
        await self._send(message)

    def _refuse(self, refusal: Refusal) -> Refusal:
        self.refusal = refusal
        return refusal


class Around:
    """Headers on every response; a log line and a count for every request, without what stands in its query."""

    def __init__(self, app: ASGIApp, metrics: Metrics, https: bool) -> None:
        self.app, self.metrics = app, metrics
        headers = HEADERS | ({"strict-transport-security": "max-age=31536000"} if https else {})
        self.headers = [(key.encode(), value.encode()) for key, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.monotonic(), 500

        async def with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = {key.lower() for key, _ in message["headers"]}
                caching = [] if b"cache-control" in given else [(b"cache-control", b"no-store")]
                message = {**message, "headers": [*message["headers"], *self.headers, *caching]}
            await send(message)

        try:
            await self.app(scope, receive, with_headers)
        except ClientDisconnect:
            status = CLIENT_GONE
        except Exception:
            LOGGER.exception("a request failed", extra={"path": one_line(scope["path"][:200])})
            ours = Refusal(500, "this is our fault, not yours; see the service's log")
            await refused(ours, scope["path"])(scope, receive, with_headers)
        finally:
            self._tell(scope, status, time.monotonic() - began)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route: Any = scope.get("route")
        path = getattr(route, "path", "unknown")  # as it is declared: what a client invents is no label
        self.metrics.requests.labels(path, str(status)).inc()
        client = scope.get("client") or ("", 0)
        about = {"method": scope["method"], "path": one_line(scope["path"][:200]), "status": status}
        about |= {"ms": round(seconds * 1000, 1), "client": client[0], "who": scope.get("sever.who", "")}
        LOGGER.info("%(method)s %(path)s: %(status)d in %(ms)s ms", about, extra=about)
