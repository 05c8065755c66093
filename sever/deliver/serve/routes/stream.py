"""A stream of images over one WebSocket: each binary message is an image, each answer a JSON text, in their order.

A text message before an image says of it `name`, `coil`, `position_m`, `across_m` and `request_key`, as JSON. Who signs
in by a cookie must come from the service's own pages: a browser sends cookies along for any site. A stop answers the
image at work first; a stream whose key or session has ended is closed at its next message.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, WebSocket
from pydantic import Field, ValidationError
from starlette.websockets import WebSocketDisconnect

from sever.deliver.serve.access import service_of, who_asks
from sever.deliver.serve.refusal import Refusal
from sever.deliver.serve.routes.inspect import Text
from sever.deliver.serve.schemas import Given
from sever.deliver.serve.service import Service, Upload, take_places
from sever.deliver.serve.storage.answers import Source

router = APIRouter()
NOT_ALLOWED, NOT_READ, RESTART = 1008, 1003, 1012
# How often a full house is tried again for an image of a stream, which has nowhere else to wait.
TRY_AGAIN_SECONDS = 0.05


class About(Given):
    """What is said of the next image."""

    name: Text = ""
    coil: Text | None = None
    position_m: float | None = None
    across_m: float | None = None
    request_key: Text | None = Field(None, min_length=1)


@router.websocket("/v1/stream")
async def stream(socket: WebSocket) -> None:
    if not await _may_send(socket):
        await socket.close(NOT_ALLOWED)
        return
    await socket.accept()
    service, about = service_of(socket), About()
    try:
        while (message := await socket.receive())["type"] != "websocket.disconnect":
            if service.streams.are_ending:
                break
            if message.get("bytes") is None:
                about = _read_about(message.get("text") or "")
                continue
            if not await _may_send(socket):
                await socket.close(NOT_ALLOWED, "the key or session has ended")
                return
            with service.streams.answering():
                await socket.send_text(json.dumps(await _answer(service, message["bytes"], about)))
            about = About()
        else:
            return
        await socket.close(RESTART, "the service is stopping")
    except ValidationError:
        await socket.close(NOT_READ, "a text message is JSON with name, coil, position_m, across_m, request_key")
    except WebSocketDisconnect:
        return


async def _may_send(socket: WebSocket) -> bool:
    who = await who_asks(socket)
    return who is not None and who.may("reviewer") and (who.csrf is None or _is_own_page(socket))


async def _answer(service: Service, data: bytes, about: About) -> dict[str, Any]:
    """An answer, or what is wrong with the image; a full house is waited for, which slows the sender down."""
    key = None if about.request_key is None else f"stream:{about.request_key}"
    source = Source("stream", about.name, key, about.coil, about.position_m, about.across_m)
    while True:
        try:
            with take_places(service):
                return {"answer": await service.inspect(Upload(data, source))}
        except Refusal as refusal:
            if refusal.status != 429:
                return {"error": {"status": refusal.status, "message": refusal.message}}
            await asyncio.sleep(TRY_AGAIN_SECONDS)


def _read_about(text: str) -> About:
    return About.model_validate_json(text)


def _is_own_page(socket: WebSocket) -> bool:
    try:
        origin = urlsplit(socket.headers.get("origin", ""))
    except ValueError:  # half an address, such as http://[
        return False
    return origin.scheme in ("http", "https") and origin.netloc == socket.headers.get("host")
