"""Who asks, by key or session, and whether that is enough: dependencies of the routes."""

from __future__ import annotations

import asyncio
import secrets
from typing import Annotated

from fastapi import Depends, Request
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from sever.deliver.serve.middleware import refused
from sever.deliver.serve.refusal import Refusal
from sever.deliver.serve.security import people
from sever.deliver.serve.security.people import Principal, Role
from sever.deliver.serve.service import Service

COOKIE, CSRF_HEADER = "sever_session", "x-csrf-token"
READING = ("GET", "HEAD", "OPTIONS")
SIGN_IN = ("POST", "/v1/session")
STRANGER = Refusal(401, "sign in, or send a key: Authorization: Bearer KEY")


def service_of(connection: HTTPConnection) -> Service:
    found: Service = connection.app.state.service
    return found


async def who_asks(connection: HTTPConnection) -> Principal | None:
    """By `Authorization: Bearer KEY`, `X-API-Key: KEY` or the session's cookie; None for a stranger."""
    store = service_of(connection).store
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    key = token.strip() if scheme.lower() == "bearer" else connection.headers.get("x-api-key")
    if key:
        return await asyncio.to_thread(store.read, lambda c: people.who_has_key(c, key))
    cookie = connection.cookies.get(COOKIE)
    if cookie:
        return await asyncio.to_thread(store.read, lambda c: people.who_has_session(c, cookie))
    return None


class KnownFirst:
    """Who sends a body must be known before it is read: a stranger's takes no memory, and is not parsed."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in READING and (scope["method"], scope["path"]) != SIGN_IN:
            request = Request(scope)
            try:
                scope["sever.principal"] = await _known(request)
            except Refusal as refusal:
                await refused(refusal, scope["path"])(scope, receive, send)
                return
        await self.app(scope, receive, send)


async def _known(request: Request) -> Principal:
    """Raises Refusal for a stranger (401), and for who asks too often (429)."""
    principal = await who_asks(request)
    address = request.client.host if request.client else ""
    request.app.state.rate.take(principal.name if principal else address)
    if principal is None:
        raise STRANGER
    request.scope["sever.who"] = principal.name
    return principal


def _needs(role: Role):  # type: ignore[no-untyped-def]  # FastAPI reads the signature of what is returned
    async def check(request: Request) -> Principal:
        principal: Principal = request.scope.get("sever.principal") or await _known(request)
        if not principal.may(role):
            raise Refusal(403, f"this needs the role {role}; {principal.name} is {principal.role}")
        if request.method not in READING:
            raise_unless_meant(request, principal)
        return principal

    return check


def raise_unless_meant(request: Request, principal: Principal) -> None:
    """A change by a session brings the session's own token, which no other site can read. Raises Refusal (403)."""
    if principal.csrf is None:
        return
    if not secrets.compare_digest(request.headers.get(CSRF_HEADER, "").encode(), principal.csrf.encode()):
        raise Refusal(403, "a change needs the session's token in X-CSRF-Token (GET /v1/session returns it)")


TheService = Annotated[Service, Depends(service_of)]
Viewer = Annotated[Principal, Depends(_needs("viewer"))]
Reviewer = Annotated[Principal, Depends(_needs("reviewer"))]
Admin = Annotated[Principal, Depends(_needs("admin"))]
