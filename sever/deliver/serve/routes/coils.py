"""Coils as lists, maps, pictures, tables and pages; and alarms, with who has seen them."""

from __future__ import annotations

import time
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from sqlalchemy import func, select, update
from starlette.responses import Response

from sever.deliver.serve.access import Reviewer, TheService, Viewer
from sever.deliver.serve.plant.coil_map import coil_csv, coil_page, coil_picture
from sever.deliver.serve.plant.places import Place, count_on_coil, places_on_coil, read_coil
from sever.deliver.serve.refusal import Refusal
from sever.deliver.serve.security.audit import note
from sever.deliver.serve.service import Service
from sever.deliver.serve.storage import tables
from sever.deliver.serve.uploads import decode, for_model, raw_shape_of

router = APIRouter()
# Of the picture of a coil, which needs them in memory.
MOST_IMAGES = 5000
CoilName = Annotated[str, Query(max_length=200)]


class Coil(BaseModel):
    coil: str
    images: int
    defects: int
    first: float = Field(description="seconds since 1970, UTC")
    last: float
    metres: float | None = Field(description="position of its last image")


class PlaceOnCoil(BaseModel):
    answer: str
    class_name: str
    along: float = Field(description="metres from the head, of the defect's centre")
    across: float = Field(description="metres from the left edge")
    length: float
    breadth: float
    area: int
    confidence: float


class Alarm(BaseModel):
    id: int
    rule: str
    coil: str | None
    answer: str | None
    created: float
    position_m: float | None
    about: dict[str, Any]
    seen_by: str | None
    seen: float | None


@router.get("/v1/coils", response_model=list[Coil])
def coils(service: TheService, _: Viewer, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> list[dict[str, Any]]:
    """The coils that were seen last."""
    answers = tables.answers.c
    last = func.max(answers.created)
    rows = (
        select(
            answers.coil,
            func.count().label("images"),
            func.sum(answers.num_defects).label("defects"),
            func.min(answers.created).label("first"),
            last.label("last"),
            func.max(answers.position_m).label("metres"),
        )
        .where(answers.coil.is_not(None))
        .group_by(answers.coil)
        .order_by(last.desc())
        .limit(limit)
    )
    return service.store.read(lambda c: [dict(row) for row in c.execute(rows).mappings()])


@router.get("/v1/coils/map", response_model=list[PlaceOnCoil])
def coil_map(service: TheService, _: Viewer, coil: CoilName) -> list[dict[str, Any]]:
    """Every defect of a coil, from head to tail."""
    return [vars(place) for place in _places(service, coil)]


@router.get("/v1/coils/map.csv", response_class=Response, responses={200: {"content": {"text/csv": {}}}})
def coil_as_csv(service: TheService, _: Viewer, coil: CoilName) -> Response:
    headers = {"content-disposition": "attachment; filename=coil.csv"}
    return Response(coil_csv(_places(service, coil)), media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/v1/coils/map.png", response_class=Response, responses={200: {"content": {"image/png": {}}}})
def coil_as_png(service: TheService, _: Viewer, coil: CoilName) -> Response:
    """The whole coil as one picture, contours drawn."""
    return Response(_draw(service, _rows(service, coil)), media_type="image/png")


@router.get("/v1/coils/map.html", response_class=Response, responses={200: {"content": {"text/html": {}}}})
def coil_as_html(service: TheService, _: Viewer, coil: CoilName) -> Response:
    """One page to print or keep: picture, sums, largest defects."""
    rows, places = _rows(service, coil), _places(service, coil)
    counts = service.store.read(lambda connection: count_on_coil(connection, coil))
    page = coil_page(coil, rows, places, counts, _draw(service, rows), service.settings.strip)
    headers = {"content-disposition": "attachment; filename=coil.html"}
    return Response(page, media_type="text/html; charset=utf-8", headers=headers)


@router.get("/v1/alarms", response_model=list[Alarm])
def alarms(
    service: TheService, _: Viewer, unseen: bool = False, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> list[dict[str, Any]]:
    """The newest first."""
    table, answers = tables.alarms, tables.answers
    columns = [column for column in table.c if column.name != "answer"]
    rows = select(*columns, answers.c.uid.label("answer")).select_from(table.outerjoin(answers))
    if unseen:
        rows = rows.where(table.c.seen.is_(None))
    rows = rows.order_by(table.c.id.desc()).limit(limit)
    return service.store.read(lambda c: [dict(row) for row in c.execute(rows).mappings()])


@router.post("/v1/alarms/{number}/seen", status_code=204)
async def alarm_seen(
    number: Annotated[int, Path(ge=1, le=2**31 - 1)], service: TheService, reviewer: Reviewer
) -> Response:
    """Say that somebody has seen an alarm; the first who says so is kept."""

    def write(connection: Any) -> None:
        alarms = tables.alarms
        if connection.execute(select(alarms.c.id).where(alarms.c.id == number)).first() is None:
            raise Refusal(404, "there is no such alarm")
        unseen = update(alarms).where(alarms.c.id == number, alarms.c.seen.is_(None))
        connection.execute(unseen.values(seen=time.time(), seen_by=reviewer.name))
        note(connection, reviewer.name, "alarm seen", str(number))

    await service.store.write_soon(write)
    return Response(status_code=204)


def _places(service: Service, coil: str) -> list[Place]:
    strip = service.settings.strip
    places = service.store.read(lambda connection: places_on_coil(connection, coil, strip))
    if not places and not service.store.read(lambda connection: count_on_coil(connection, coil))[0]:
        raise Refusal(404, "no image of such a coil was seen")
    return places


def _rows(service: Service, coil: str) -> list[dict[str, Any]]:
    rows = service.store.read(lambda connection: read_coil(connection, coil, MOST_IMAGES))
    if not rows:
        raise Refusal(404, "no image of such a coil was seen")
    return rows


def _draw(service: Service, rows: list[dict[str, Any]]) -> bytes:
    bits = service.models.current.significant_bits

    def read(row: dict[str, Any]) -> np.ndarray | None:
        try:
            data = service.picture(row["image"])
        except Refusal as refusal:
            if refusal.status != 404:
                raise
            return None
        if data is None:
            return None
        stored = decode(data, "stored", service.settings.limits.max_pixels, raw_shape_of(row["kind"]))
        return for_model(stored, 3, bits)

    return coil_picture(rows, read, service.models.current.class_names, service.settings.strip)
