"""The decision rules: those in service, what others would do, saving them as a version, and going to any version."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from sever.deliver.serve.access import Admin, Reviewer, TheService, Viewer
from sever.deliver.serve.model import ServedModel
from sever.deliver.serve.refusal import Refusal
from sever.deliver.serve.schemas import Given, ModelsState, Share
from sever.deliver.serve.service import Service
from sever.deliver.serve.storage import rule_sets
from sever.errors import InputError

router = APIRouter()
MOST_CLASSES = 1000


class RulesGiven(Given):
    """One value a class, in the order of the model's classes; its other rules stay as they are."""

    pixel_threshold: Annotated[list[Share], Field(min_length=1, max_length=MOST_CLASSES)]
    min_pixels: Annotated[list[Annotated[int, Field(ge=0, le=10**9)]], Field(min_length=1, max_length=MOST_CLASSES)]


class RulesOfImage(RulesGiven):
    answer: Annotated[str, Field(max_length=64, description="the id of the answer whose image is drawn")]


class RulesToSave(RulesGiven):
    note: Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$", description="why")] = ""


class VersionChoice(Given):
    version: Annotated[int, Field(ge=0, le=10**6, description="0 are the rules that the model came with")]


class RulesVersion(BaseModel):
    version: int
    rules: dict[str, Any]
    author: str
    created: float
    note: str


class RulesState(BaseModel):
    version: int = Field(description="in service; 0 are the rules that the model came with")
    class_names: list[str]
    rules: dict[str, Any]
    own: dict[str, Any] = Field(description="those that the model came with")
    versions: list[RulesVersion] = Field(description="saved by people, the newest first")
    evidence: list[dict[str, Any]] | None = Field(
        description="by class, what thresholds and smallest areas do to images that the model had not seen; null where "
        "its bundle holds no such evidence"
    )


class ClassChange(BaseModel):
    class_: str = Field(alias="class")
    more: int = Field(description="images in which it would be called and is not now")
    fewer: int


class RulesCount(BaseModel):
    last: int = Field(description="images asked about: the newest, at most 500")
    images: int = Field(description="of these, looked at so far")
    still_coming: int = Field(description="of these, being looked at: ask again")
    changed: int = Field(description="images of which any pixel would change")
    called_otherwise: int = Field(description="images in which a class would appear or vanish")
    classes: list[ClassChange]
    listed: list[str] = Field(description="answers that would change the most")


class DrawnMask(BaseModel):
    class_: str = Field(alias="class")
    runs: str


@router.get("/v1/rules", response_model=RulesState)
def rules(service: TheService, _: Viewer) -> dict[str, Any]:
    model = service.models.current
    return {
        "version": service.models.version_of(model),
        "class_names": list(model.class_names),
        "rules": model.rules,
        "own": service.models.own_rules(model),
        "versions": service.store.read(lambda c: rule_sets.read_versions(c, model.identity)),
        "evidence": model.background.get("rule_evidence"),
    }


@router.post("/v1/rules/draw", response_model=list[DrawnMask])
async def draw(given: RulesOfImage, service: TheService, _: Reviewer) -> list[dict[str, str]]:
    """The masks of one stored image by other rules; kept nowhere."""
    return await service.rule_trial.draw(tried(service, given), given.answer)


@router.post("/v1/rules/trial", response_model=RulesCount)
async def trial(given: RulesGiven, service: TheService, _: Reviewer) -> dict[str, Any]:
    """How many of the last 500 images would change. Their maps are made from the first call on: ask until all came."""
    return await service.rule_trial.count(service.models.current, tried(service, given))


@router.post("/v1/rules", response_model=ModelsState, status_code=201)
async def save(given: RulesToSave, service: TheService, admin: Admin) -> dict[str, Any]:
    """Keep these rules as the next version, and put them in service."""
    return await service.models.save_rules(tried(service, given), admin.name, given.note)


@router.post("/v1/rules/current", response_model=ModelsState)
async def put_in_service(choice: VersionChoice, service: TheService, admin: Admin) -> dict[str, Any]:
    """Any version, at once."""
    return await service.models.take_rules(choice.version, admin.name)


def tried(service: Service, given: RulesGiven) -> ServedModel:
    """The model in service with these values. Raises Refusal (422) for rules that are none."""
    model = service.models.current
    values = model.rules | {"pixel_threshold": given.pixel_threshold, "min_pixels": given.min_pixels}
    for name in ("label_threshold", "seed_threshold"):  # below the pixels' own they would have no effect
        if (before := values.get(name)) is not None:
            before = before if isinstance(before, list) else [before] * len(given.pixel_threshold)
            values[name] = [max(pair) for pair in zip(before, given.pixel_threshold, strict=False)]
    try:
        return model.with_rules(values)
    except InputError as error:
        raise Refusal(422, str(error)) from error
