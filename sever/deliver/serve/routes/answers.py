"""Stored answers: a page of them by filters, one, its image, its overlay."""

from __future__ import annotations

import re
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import JSONResponse, Response

from sever.deliver.canvas import draw_contours
from sever.deliver.serve.access import TheService, Viewer
from sever.deliver.serve.answer import MaskForm, encode_png, masks_of
from sever.deliver.serve.refusal import Refusal
from sever.deliver.serve.routes.inspect import shown
from sever.deliver.serve.schemas import QUERY, Answer, Given, Page, Verdict
from sever.deliver.serve.service import Service
from sever.deliver.serve.storage.answers import ORDERS, Filter, as_given, count_answers, find_answers
from sever.deliver.serve.uploads import RAW_TYPE, for_model

router = APIRouter()
PNG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}}}
_PLACE = re.compile(r"(-?[0-9.e+-]{1,30})_([0-9]{1,18})")
Text = Annotated[str, Field(max_length=200)]


class Wanted(Given):
    """Filters, order and page of a list of answers."""

    model_config = QUERY

    coil: Text | None = None
    class_name: Text | None = Field(None, description="a class that is present")
    verdict: Verdict | None = None
    source: Text | None = None
    model: Text | None = Field(None, description="a model's identity")
    since: float | None = Field(None, description="seconds since 1970, UTC")
    until: float | None = None
    alarmed: bool = Field(False, description="only answers that raised an alarm")
    order: Annotated[str, Field(pattern=f"^({'|'.join(ORDERS)})$")] = "time"
    limit: int = Field(50, ge=1, le=500)
    after: str | None = Field(None, pattern=r"^-?[0-9.e+-]{1,30}_[0-9]{1,18}$", description="`next` of the page before")
    masks: MaskForm = "none"

    def filter(self) -> Filter:
        return Filter(**self.model_dump(exclude={"order", "limit", "after", "masks"}))


@router.get("/v1/answers", response_model=Page)
def list_answers(service: TheService, _: Viewer, wanted: Annotated[Wanted, Query()]) -> JSONResponse:
    """A page of answers, the newest, least certain, worst or last first."""
    chosen, place = wanted.filter(), _read_place(wanted.after)
    rows = service.store.read(lambda c: find_answers(c, chosen, wanted.order, wanted.limit + 1, place))
    page = rows[: wanted.limit]
    more = f"{page[-1]['place']!r}_{page[-1]['id']}" if len(rows) > wanted.limit else None
    listed = [shown(as_given(dict(row)), wanted.masks) for row in page]
    total = service.store.read(lambda c: count_answers(c, chosen))
    return JSONResponse({"answers": listed, "total": total, "next": more})


@router.get("/v1/answers/{uid}", response_model=Answer)
def one_answer(uid: str, service: TheService, _: Viewer, masks: MaskForm = "runs") -> JSONResponse:
    return JSONResponse(shown(service.answer(uid), masks))


@router.get("/v1/answers/{uid}/image", response_class=Response, responses={200: {"content": {"image/*": {}}}})
def original(uid: str, service: TheService, _: Viewer) -> Response:
    """The original file, byte for byte as it came."""
    data, kind = service.original(uid)
    is_raw = kind.startswith(RAW_TYPE)
    headers = {"content-disposition": "attachment" if is_raw else "inline", "cache-control": "private, max-age=3600"}
    return Response(data, media_type=RAW_TYPE if is_raw else kind, headers=headers)


@router.get("/v1/answers/{uid}/image.png", response_class=Response, responses=PNG)
def as_png(uid: str, service: TheService, _: Viewer) -> Response:
    """The image as the model saw it, for browsers that show no TIFF, BMP or raw pixels."""
    png = encode_png(_pixels(service, uid))
    return Response(png, media_type="image/png", headers={"cache-control": "private, max-age=3600"})


@router.get("/v1/answers/{uid}/overlay.png", response_class=Response, responses=PNG)
def overlay(uid: str, service: TheService, _: Viewer) -> Response:
    """The image with a contour round every defect that the model found."""
    pixels = _pixels(service, uid)
    answer = service.answer(uid)
    masks_chw = masks_of(answer["classes"], answer["image"]["height"], answer["image"]["width"])
    return Response(encode_png(draw_contours(pixels, masks_chw)), media_type="image/png")


def _pixels(service: Service, uid: str) -> np.ndarray:
    return for_model(service.stored_pixels(uid), 3, service.models.current.significant_bits)


def _read_place(after: str | None) -> tuple[float, int] | None:
    match = _PLACE.fullmatch(after or "")
    if match is None:
        return None
    try:
        return float(match[1]), int(match[2])
    except ValueError as error:
        raise Refusal(422, "`after` is what the page before gave as `next`") from error
