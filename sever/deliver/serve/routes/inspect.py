"""Images in, answers out: one as the body, or several as a form; and one image back with contours drawn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from sever.deliver.canvas import draw_contours
from sever.deliver.serve.access import Reviewer, TheService
from sever.deliver.serve.answer import MaskForm, encode_png, in_form
from sever.deliver.serve.refusal import Refusal
from sever.deliver.serve.schemas import QUERY, Answer, Batch, Given
from sever.deliver.serve.service import Service, Upload, take_places
from sever.deliver.serve.storage.answers import Source
from sever.deliver.serve.uploads import RAW_TYPE, SHAPE, RawShape, decode, for_model, media_type, read_raw_shape

router = APIRouter()
Text = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]
_PICTURES = {
    kind: {"schema": {"type": "string", "format": "binary"}}
    for kind in ("image/jpeg", "image/png", "image/tiff", "image/bmp", "image/webp", RAW_TYPE)
}
BODY: dict[str, Any] = {"requestBody": {"required": True, "content": _PICTURES}}
_FILES = {"type": "array", "items": {"type": "string", "format": "binary"}}
FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"images": _FILES}, "required": ["images"]}
            }
        },
    }
}


class Words(Given):
    """What comes in the query beside an image."""

    model_config = QUERY

    name: Text = ""
    coil: Text | None = None
    position_m: float | None = Field(None, description="metres from the coil's head")
    across_m: float | None = Field(None, description="metres from the strip's left edge")
    masks: MaskForm = "runs"
    deadline_ms: float | None = Field(None, gt=0, description="503 where the answer is not there by then")


class RawWords(Words):
    """The same, and the shape of raw pixels."""

    height: int | None = Field(None, ge=1, description="of raw pixels (application/octet-stream), as the next three")
    width: int | None = Field(None, ge=1)
    channels: int | None = Field(None, description="1 (grey) or 3 (RGB, innermost)")
    bits: int | None = Field(None, description="8, or 16 (little-endian)")


def request_key(request: Request) -> str | None:
    """What the sender calls the request: the same key is answered once, and then with the stored answer."""
    key = request.headers.get("idempotency-key")
    if key is not None and not 1 <= len(key) <= 190:
        raise Refusal(422, "Idempotency-Key has 1 to 190 characters")
    return None if key is None else f"http:{key}"


Key = Annotated[str | None, Depends(request_key)]


@router.post("/v1/inspect", response_model=Answer, openapi_extra=BODY)
async def inspect(
    request: Request, service: TheService, _: Reviewer, words: Annotated[RawWords, Query()], key: Key
) -> JSONResponse:
    """Inspect one image: the body is the file, or raw pixels with their shape in the query.

    The answer is in the store, once, when it is given. `Idempotency-Key` makes a repetition safe.
    """
    with take_places(service):
        data, raw = await _sent(request, words)
        source = Source("http", words.name, key, words.coil, words.position_m, words.across_m)
        upload = Upload(data, source, raw)
        answer = await service.inspect(upload, _seconds(words))
        return JSONResponse(await asyncio.to_thread(shown, answer, words.masks))


@router.post("/v1/inspect/batch", response_model=Batch, openapi_extra=FORM)
async def inspect_batch(
    request: Request, service: TheService, _: Reviewer, words: Annotated[Words, Query()], key: Key
) -> JSONResponse:
    """Inspect several image files of a form, field `images`; each has its own answer or its own error."""
    with take_places(service):  # one for the form on its way, the others when their number is known
        async with _form(request, service.settings.limits.max_images) as form:
            files = _form_files(form)
            with take_places(service, len(files), held=1):
                jobs = [_one_of_batch(service, file, index, words, key) for index, file in enumerate(files)]
                return JSONResponse({"answers": await asyncio.gather(*jobs)})


@router.post(
    "/v1/overlay",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}},
    openapi_extra=BODY,
)
async def overlay(request: Request, service: TheService, _: Reviewer, words: Annotated[RawWords, Query()]) -> Response:
    """One image back as PNG with a contour round every defect; nothing is kept."""
    with take_places(service):
        data, raw = await _sent(request, words)
        most = service.settings.limits.max_pixels
        stored = await asyncio.to_thread(decode, data, words.name, most, raw)
        model, inspection = await service.inspect_pixels(stored, _seconds(words))
        image_hwc = for_model(stored, 3, model.significant_bits)
        png = await asyncio.to_thread(lambda: encode_png(draw_contours(image_hwc, inspection.masks)))
        return Response(png, media_type="image/png")


def shown(answer: dict[str, Any], form: MaskForm) -> dict[str, Any]:
    size = answer["image"]["height"], answer["image"]["width"]
    return answer | {"classes": in_form(answer["classes"], form, *size)}


async def _one_of_batch(
    service: Service, file: UploadFile, index: int, words: Words, key: str | None
) -> dict[str, Any]:
    name = (file.filename or "")[:200].replace("\0", "")
    own_key = None if key is None else f"{key}:{index}"
    source = Source("http", name, own_key, words.coil, words.position_m, words.across_m)
    try:
        answer = await service.inspect(Upload(await file.read(), source), _seconds(words))
    except Refusal as refusal:
        return {"name": name, "error": {"status": refusal.status, "message": refusal.message}}
    return {"name": name, "answer": await asyncio.to_thread(shown, answer, words.masks)}


@asynccontextmanager
async def _form(request: Request, most_files: int) -> AsyncIterator[FormData]:
    try:
        async with request.form(max_files=most_files, max_fields=1) as form:
            yield form
    except HTTPException as error:
        many = str(error.detail).startswith("Too many files")
        words = f"at most {most_files} images are taken in one request (limits.max_images)" if many else error.detail
        raise Refusal(413 if many else 400, words) from error


def _form_files(form: FormData) -> list[UploadFile]:
    files = [value for value in form.getlist("images") if isinstance(value, UploadFile)]
    if not files:
        raise Refusal(422, "the form (multipart/form-data) has no file in a field `images`")
    return files


async def _sent(request: Request, words: RawWords) -> tuple[bytes, RawShape | None]:
    """The body, and its shape where it is raw pixels. Many clients call any file `application/octet-stream`, so it is
    the shape in the query that says what comes."""
    kind = request.headers.get("content-type", RAW_TYPE).partition(";")[0].strip().lower()
    is_raw = any(getattr(words, name) is not None for name in SHAPE)
    if is_raw and kind != RAW_TYPE:
        raise Refusal(
            422, f"height, width, channels and bits are for raw pixels, whose Content-Type is {RAW_TYPE}, not {kind!r}"
        )
    raw, data = read_raw_shape(request.query_params) if is_raw else None, await request.body()
    if not data:
        raise Refusal(422, "the body is empty; it should be an image file, or raw pixels")
    if raw is None and kind == RAW_TYPE and media_type(data, None) == RAW_TYPE:
        raise Refusal(422, "the body is not an image file; for raw pixels give height and width in the query")
    return data, raw


def _seconds(words: Words) -> float | None:
    return None if words.deadline_ms is None else words.deadline_ms / 1000
