"""Which model answers: change it, go back, have another one answer along, and what that one says otherwise."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from sqlalchemy import func, select

from sever.deliver.serve.access import Admin, TheService, Viewer
from sever.deliver.serve.schemas import ModelChoice, ModelsState, ShadowChoice, ShadowReport
from sever.deliver.serve.storage import tables

router = APIRouter()
LISTED = 200


@router.get("/v1/models", response_model=ModelsState)
def models(service: TheService, _: Viewer) -> dict[str, Any]:
    return service.models.status()


@router.post("/v1/models/current", response_model=ModelsState)
async def put_in_service(choice: ModelChoice, service: TheService, admin: Admin) -> dict[str, Any]:
    """Load a model and warm it up; then it answers. Images that came before are answered by the one before."""
    return await service.models.put_in_service(choice.name, admin.name)


@router.post("/v1/models/rollback", response_model=ModelsState)
async def roll_back(service: TheService, admin: Admin) -> dict[str, Any]:
    """Back to the model before, at once."""
    return await service.models.roll_back(admin.name)


@router.post("/v1/models/shadow", response_model=ModelsState)
async def set_shadow(choice: ShadowChoice, service: TheService, admin: Admin) -> dict[str, Any]:
    return await service.models.set_shadow(choice.name, admin.name)


@router.get("/v1/models/shadow", response_model=ShadowReport)
def shadow_report(service: TheService, _: Viewer) -> dict[str, Any]:
    """How many images the shadow model saw, and the last that it would have answered otherwise."""
    shadow = service.models.shadow
    if shadow is None:
        return {"compared": 0, "differing": 0, "differences": []}
    shadows, models_, answers = tables.shadows, tables.models, tables.answers
    mine = models_.c.identity == shadow.identity
    rows = select(func.count(), func.count().filter(shadows.c.differs)).select_from(shadows.join(models_)).where(mine)
    listed = (
        select(answers.c.uid.label("answer"), shadows.c.created, shadows.c.differs, shadows.c.classes)
        .select_from(shadows.join(answers).join(models_, models_.c.id == shadows.c.model))
        .where(mine, shadows.c.differs)
        .order_by(shadows.c.id.desc())
        .limit(LISTED)
    )
    compared, differing = service.store.read(lambda c: c.execute(rows).one())
    found = service.store.read(lambda c: [dict(row) for row in c.execute(listed).mappings()])
    return {"compared": compared, "differing": differing, "differences": found}
