"""Sign in and out with a password; the session's token is in a cookie that no script reads."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from sever.deliver.serve.access import COOKIE, TheService, Viewer
from sever.deliver.serve.refusal import Refusal
from sever.deliver.serve.schemas import Login, OwnPassword, Session
from sever.deliver.serve.security import people
from sever.deliver.serve.security.audit import note
from sever.deliver.serve.service import Service

router = APIRouter()
# Each check of a password takes 64 MiB for a moment.
_CHECKS = 2


@router.post("/v1/session", response_model=Session)
async def sign_in(login: Login, request: Request, service: TheService) -> JSONResponse:
    """Sets the cookie. Six tries a minute, for each address and each name."""
    address = request.client.host if request.client else ""
    if not await _is_right(request, service, login.name, login.password):
        await service.store.write_soon(lambda c: note(c, "", "sign-in refused", login.name, address=address))
        raise Refusal(401, "this name and password don't go together")
    seconds = service.settings.security.session_hours * 3600
    token, csrf = await service.store.write_soon(lambda c: people.begin_session(c, login.name, seconds))
    found = await asyncio.to_thread(service.store.read, lambda c: people.who_has_session(c, token))
    assert found is not None
    response = JSONResponse({"name": found.name, "role": found.role, "csrf": csrf})
    response.set_cookie(
        COOKIE, token, max_age=round(seconds), httponly=True, samesite="strict", secure=request.app.state.https
    )
    return response


@router.get("/v1/session", response_model=Session)
def session(who: Viewer) -> dict[str, Any]:
    return {"name": who.name, "role": who.role, "csrf": who.csrf}


@router.delete("/v1/session", status_code=204)
async def sign_out(request: Request, service: TheService, who: Viewer) -> Response:
    token = request.cookies.get(COOKIE)
    if token:
        await service.store.write_soon(lambda c: people.end_session(c, token, who.name))
    response = Response(status_code=204)
    response.delete_cookie(COOKIE)
    return response


@router.put("/v1/session/password", status_code=204)
async def change_own_password(new: OwnPassword, request: Request, service: TheService, who: Viewer) -> Response:
    """Of whoever is signed in, who gives the one so far, too: a session left open is not enough. All sessions end."""
    if who.csrf is None:
        raise Refusal(409, "a key has no password")
    if not await _is_right(request, service, who.name, new.current):
        await service.store.write_soon(lambda c: note(c, who.name, "password refused", who.name))
        raise Refusal(403, "`current` is not the password so far")
    hashed = await asyncio.to_thread(people.hash_password, new.password)
    await service.store.write_soon(lambda c: people.change_password(c, who.name, hashed, who.name))
    return Response(status_code=204)


async def _is_right(request: Request, service: Service, name: str, password: str) -> bool:
    """Raises Refusal (429) where an address, or a name, is tried too often."""
    address = request.client.host if request.client else ""
    for who in (f"address {address}", f"name {name}"):
        request.app.state.login_rate.take(who)
    known = await asyncio.to_thread(service.store.read, lambda c: people.password_hash_of(c, name))
    async with _checks(request):
        return await asyncio.to_thread(people.is_password, known, password)


def _checks(request: Request) -> asyncio.Semaphore:
    state = request.app.state
    if not hasattr(state, "password_checks"):
        state.password_checks = asyncio.Semaphore(_CHECKS)
    found: asyncio.Semaphore = state.password_checks
    return found
