"""What people say of answers: accept, reject, correct; the versions so far; and the probabilities to correct by."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from sever.data import rle
from sever.decide.postprocess import quantise
from sever.deliver.serve.access import Reviewer, TheService, Viewer
from sever.deliver.serve.answer import encode_png
from sever.deliver.serve.refusal import Refusal
from sever.deliver.serve.routes.inspect import Key
from sever.deliver.serve.schemas import Given
from sever.deliver.serve.storage.corrections import CORRECTED, Correction, add_correction, read_corrections
from sever.deliver.serve.uploads import decode

router = APIRouter()
MOST_CLASSES, MOST_CHARACTERS = 100, 8_000_000


class MaskGiven(Given):
    """A class's mask: run lengths, or a PNG of the image's size in which every value but 0 is defect."""

    class_: Annotated[str, Field(alias="class", max_length=200)]
    runs: Annotated[str, Field(max_length=MOST_CHARACTERS)] | None = None
    mask_png: Annotated[str, Field(max_length=MOST_CHARACTERS, description="base64")] | None = None


class CorrectionGiven(Given):
    base: Annotated[int, Field(ge=0, le=10**6, description="the `version` of the answer that you saw")]
    verdict: Literal["accepted", "rejected", "corrected"] = Field(
        description="`accepted`: the model's masks are right; `rejected`: nothing of it is a defect; "
        "`corrected`: `masks` are right"
    )
    note: Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")] = ""
    masks: Annotated[list[MaskGiven], Field(max_length=MOST_CLASSES)] = Field(
        [], description="for `corrected`: classes that are left out are empty"
    )


class MaskKept(BaseModel):
    class_: str = Field(alias="class")
    runs: str


class CorrectionKept(BaseModel):
    version: int
    author: str
    created: float
    verdict: str
    note: str
    masks: list[MaskKept]


@router.post("/v1/answers/{uid}/corrections", status_code=201, response_model=CorrectionKept)
async def correct(
    uid: str, given: CorrectionGiven, service: TheService, reviewer: Reviewer, key: Key
) -> dict[str, Any]:
    """Keep a person's word as the next version; 409 where somebody else saved one meanwhile.

    `Idempotency-Key` makes it safe to send again what may have arrived.
    """
    answer = await asyncio.to_thread(service.answer, uid)
    size = answer["image"]["height"], answer["image"]["width"]
    runs = await asyncio.to_thread(_runs_of, given, *size, service.settings.limits.max_pixels)
    own_key = None if key is None else f"correction:{key}"
    correction = Correction(given.base, given.verdict, runs, given.note, own_key)
    return await service.store.write_soon(lambda connection: add_correction(connection, uid, correction, reviewer.name))


@router.get("/v1/answers/{uid}/corrections", response_model=list[CorrectionKept])
def versions(uid: str, service: TheService, _: Viewer) -> list[dict[str, Any]]:
    """All versions, the first one first; each states every class's mask."""
    service.answer(uid)
    return service.store.read(lambda connection: read_corrections(connection, uid))


@router.get(
    "/v1/answers/{uid}/probabilities.png",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}},
)
async def probabilities(
    uid: str, request: Request, service: TheService, _: Reviewer, class_name: Annotated[str, Query(max_length=200)]
) -> Response:
    """The map of a class, 0..255 for 0..1, by the model that is in service now (X-Sever-Model), for a magic wand."""
    model, inspection = await service.inspect_stored(uid)
    if class_name not in model.class_names:
        raise Refusal(404, f"there is no class {class_name[:100]!r}; there are {', '.join(model.class_names)}")
    levels_hw = quantise(inspection.probabilities[model.class_names.index(class_name)])
    return Response(encode_png(levels_hw), media_type="image/png", headers={"x-sever-model": model.identity})


def _runs_of(given: CorrectionGiven, height: int, width: int, max_pixels: int) -> dict[str, str]:
    """Run lengths by class, in the one form in which they are kept. Raises Refusal."""
    if given.masks and given.verdict != CORRECTED:
        raise Refusal(422, f"masks belong to `corrected`, not to `{given.verdict}`")
    found: dict[str, str] = {}
    for mask in given.masks:
        if mask.class_ in found:
            raise Refusal(422, f"the class {mask.class_[:100]!r} appears twice")
        if (mask.runs is None) == (mask.mask_png is None):
            raise Refusal(422, f"give `runs` or `mask_png` for class {mask.class_[:100]!r}, one of them")
        if mask.runs is not None:
            fault = rle.find_fault(mask.runs, height * width)
            if fault:
                raise Refusal(422, f"the run lengths of {mask.class_[:100]!r}: {fault}")
            found[mask.class_] = rle.join_touching(mask.runs) if mask.runs.strip() else ""
        else:
            found[mask.class_] = rle.encode(_read_mask(mask.mask_png or "", height, width, max_pixels))
    return found


def _read_mask(text: str, height: int, width: int, max_pixels: int) -> np.ndarray:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(422, "mask_png is not base64") from error
    mask = decode(data, "mask_png", max_pixels)
    if mask.shape != (height, width):
        raise Refusal(422, f"mask_png is {list(mask.shape)}, but the image has {height} rows and {width} columns, grey")
    return mask
