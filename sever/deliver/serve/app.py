"""The application: routes, what surrounds them, and how faults are told; knows no server and no files."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from sever import __version__
from sever.deliver.serve.access import KnownFirst
from sever.deliver.serve.middleware import Around, BodyLimit, KnownHosts, refused
from sever.deliver.serve.refusal import Refusal
from sever.deliver.serve.routes import ROUTERS
from sever.deliver.serve.schemas import Fault
from sever.deliver.serve.security.rates import Rate
from sever.deliver.serve.service import Service

LOGGER = logging.getLogger("sever.serve")
FAULTS: dict[int | str, dict[str, Any]] = {
    status: {"model": Fault, "description": words}
    for status, words in {
        400: "Not a request that can be read",
        401: "Neither key nor session",
        403: "Not allowed",
        404: "Nothing is here",
        405: "Not with this method",
        408: "The request came too slowly",
        409: "Somebody else was first, or it can't be done now",
        413: "Too large",
        422: "Not what is expected",
        429: "Too much at once; see Retry-After",
        503: "Not in time, or not ready",
    }.items()
}


def make_app(service: Service) -> FastAPI:
    settings = service.settings
    security = settings.security
    https = security.tls_certificate is not None or security.behind_proxy

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.stop()

    app = FastAPI(
        title="sever inspection service",
        version=__version__,
        description="Finds surface defects on images of steel strip. See docs/service.md.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        responses=FAULTS,
    )
    app.state.service, app.state.https = service, https
    app.state.rate = Rate(security.requests_per_second, security.requests_at_once)
    app.state.login_rate = Rate(security.logins_per_minute / 60, security.logins_per_minute)
    for router in ROUTERS:
        app.include_router(router)
    _tell_faults(app)
    app.add_middleware(BodyLimit, max_bytes=settings.limits.max_bytes, seconds=settings.limits.body_seconds)
    app.add_middleware(KnownFirst)
    app.add_middleware(KnownHosts, hosts=_hosts(service))
    app.add_middleware(Around, metrics=service.metrics, https=https)
    return app


def _hosts(service: Service) -> list[str]:
    host = service.settings.host
    return ["localhost", "127.0.0.1", "[::1]", f"[{host}]" if ":" in host else host, *service.settings.security.hosts]


def _tell_faults(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    def refuse(request: Request, refusal: Refusal) -> Response:
        return refused(refusal, request.url.path)

    @app.exception_handler(OperationalError)
    def refuse_for_now(request: Request, error: OperationalError) -> Response:
        LOGGER.error("the database can't be used now: %s", error.orig)
        return refused(Refusal(503, "the database can't be used now; send it again", 5), request.url.path)

    @app.exception_handler(HTTPException)
    def refuse_plainly(request: Request, error: HTTPException) -> Response:
        response = refused(Refusal(error.status_code, str(error.detail)), request.url.path)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(RequestValidationError)
    def refuse_form(request: Request, error: RequestValidationError) -> Response:
        faults = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:10]]
        return refused(Refusal(422, "; ".join(faults)), request.url.path)
