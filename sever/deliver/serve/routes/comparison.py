"""A new model beside the one in service on the images that people judged: begin, look, and pictures of an image."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from sever.data import rle
from sever.deliver.canvas import draw_contours
from sever.deliver.serve.access import Admin, TheService, Viewer
from sever.deliver.serve.answer import encode_png
from sever.deliver.serve.schemas import ModelChoice, ModelFacts, Share
from sever.deliver.serve.uploads import for_model

router = APIRouter()


class ClassScore(BaseModel):
    class_: str = Field(alias="class")
    now: Share
    new: Share


class Scores(BaseModel):
    """Mean Dice over (image, class) pairs against what people said; an empty mask that should be empty is 1."""

    images: int
    now: Share | None
    new: Share | None
    classes: list[ClassScore]


class ScoresOfImage(BaseModel):
    answer: str
    now: Share
    new: Share
    is_seen: bool | None = Field(description="whether the new model was trained on it; null where that is not known")


class ComparedModels(BaseModel):
    name: str
    now: ModelFacts
    new: ModelFacts
    total: int = Field(description="judged images, the newest 500 of them at most")
    done: int
    left_out: int = Field(description="images that are kept no longer, or were judged by other classes")
    is_over: bool
    fault: str | None
    knows_seen: bool = Field(description="whether the new model tells which images it was trained on")
    all: Scores
    unseen: Scores = Field(description="of the images that the new model was not trained on: the fair comparison")
    images: list[ScoresOfImage] = Field(description="those on which the two differ the most")


@router.post("/v1/models/comparison", response_model=ComparedModels, status_code=202)
async def compare(choice: ModelChoice, service: TheService, _: Admin) -> dict[str, Any] | None:
    """Begin to compare one of `available` with the model in service; nothing is taken."""
    return await service.comparison.start(choice.name)


@router.get("/v1/models/comparison", response_model=ComparedModels | None)
def compared(service: TheService, _: Viewer) -> dict[str, Any] | None:
    """The newest comparison, as far as it is; null where there was none since the service began."""
    return service.comparison.told()


@router.get(
    "/v1/models/comparison/{uid}/{side}.png",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}},
)
def picture(uid: str, side: Literal["people", "now", "new"], service: TheService, _: Viewer) -> Response:
    """The image with the contours of people, of the model in service, or of the new one."""
    found = service.comparison.of_image(uid)
    stored = service.stored_pixels(uid)
    runs = {"people": found.people, "now": found.now, "new": found.new}[side]
    names = service.models.current.class_names
    masks_chw = np.stack([rle.decode(runs.get(name, ""), *stored.shape[:2]) for name in names])
    pixels = for_model(stored, 3, service.models.current.significant_bits)
    return Response(encode_png(draw_contours(pixels, masks_chw)), media_type="image/png")
