"""Whether the service lives and is ready, and its numbers for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from sever.deliver.serve.access import TheService, who_asks
from sever.deliver.serve.refusal import Refusal
from sever.deliver.serve.schemas import Health

router = APIRouter()


@router.get("/health/live")
async def live() -> Health:
    return Health(status="live")


@router.get("/health/ready")
async def ready(service: TheService) -> Health:
    """Ready once the model has answered its first, empty image, until the stop."""
    if not service.is_ready:
        raise Refusal(503, "the model is being warmed up, or the service is stopping", 1)
    return Health(status="ready")


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request, service: TheService) -> Response:
    if not service.settings.security.open_metrics and await who_asks(request) is None:
        raise Refusal(401, "metrics need a key of any role (or the setting security.open_metrics)")
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")
