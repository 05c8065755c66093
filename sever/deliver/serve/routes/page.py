"""The review page: every file that a browser may have stands in one table; no request's path reaches the disk."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import Response

from sever.deliver.serve.refusal import Refusal

router = APIRouter(include_in_schema=False)
_FOLDER = "sever.deliver.serve.page"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


@router.get("/")
def front() -> Response:
    return page_file("index.html")


@router.get("/page/{name}")
def page_file(name: str) -> Response:
    """Raises Refusal (404) for what is not in the table."""
    found = _table().get(name)
    if found is None:
        raise Refusal(404, "the page has no such file")
    content, kind = found
    return Response(content, media_type=kind)


@cache
def _table() -> dict[str, tuple[bytes, str]]:
    """Names to contents and media types, read once from the installed package."""
    there = [each for each in files(_FOLDER).iterdir() if each.is_file()]
    typed = [(each, _TYPES.get("." + each.name.rpartition(".")[2])) for each in there]
    return {each.name: (each.read_bytes(), kind) for each, kind in typed if kind is not None}
