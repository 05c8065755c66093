"""For admins: users, keys, and the trail of what was done, which nothing here changes."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import Field
from sqlalchemy import select
from starlette.responses import Response

from sever.deliver.serve.access import Admin, TheService
from sever.deliver.serve.refusal import Refusal
from sever.deliver.serve.schemas import Entry, Key, NewKey, NewPassword, NewRole, NewUser, Person
from sever.deliver.serve.security import audit, people
from sever.deliver.serve.storage import tables

router = APIRouter()
Whose = Annotated[str, Path(max_length=100)]


@router.get("/v1/users", response_model=list[Person])
def list_users(service: TheService, _: Admin) -> list[dict[str, Any]]:
    return _listed(service, tables.users)


@router.post("/v1/users", status_code=204)
async def add_user(new: NewUser, service: TheService, admin: Admin) -> Response:
    hashed = await asyncio.to_thread(people.hash_password, new.password)
    await service.store.write_soon(lambda c: people.add_user(c, new.name, hashed, new.role, admin.name))
    return Response(status_code=204)


@router.put("/v1/users/{name}/password", status_code=204)
async def set_password(name: Whose, new: NewPassword, service: TheService, admin: Admin) -> Response:
    """Of somebody else: one's own is changed by whoever knows it (PUT /v1/session/password)."""
    if admin.csrf is not None and name == admin.name:
        raise Refusal(409, "your own password is changed with PUT /v1/session/password, which asks for the one so far")
    hashed = await asyncio.to_thread(people.hash_password, new.password)
    await service.store.write_soon(lambda c: people.change_password(c, name, hashed, admin.name))
    return Response(status_code=204)


@router.put("/v1/users/{name}/role", status_code=204)
async def set_role(name: Whose, new: NewRole, service: TheService, admin: Admin) -> Response:
    """Holds at once, also for who is signed in."""
    await service.store.write_soon(lambda c: people.change_role(c, name, new.role, admin.name))
    return Response(status_code=204)


@router.delete("/v1/users/{name}", status_code=204)
async def end_user(name: Whose, service: TheService, admin: Admin) -> Response:
    await service.store.write_soon(lambda c: people.end_user(c, name, admin.name))
    return Response(status_code=204)


@router.get("/v1/keys", response_model=list[Person])
def list_keys(service: TheService, _: Admin) -> list[dict[str, Any]]:
    return _listed(service, tables.keys)


@router.post("/v1/keys", status_code=201, response_model=Key)
async def add_key(new: NewKey, service: TheService, admin: Admin) -> dict[str, Any]:
    """The key is shown this once, and kept nowhere."""
    key = await service.store.write_soon(lambda c: people.add_key(c, new.name, new.role, admin.name))
    return {"name": new.name, "role": new.role, "key": key}


@router.delete("/v1/keys/{name}", status_code=204)
async def end_key(name: Whose, service: TheService, admin: Admin) -> Response:
    await service.store.write_soon(lambda c: people.end_key(c, name, admin.name))
    return Response(status_code=204)


@router.get("/v1/audit", response_model=list[Entry])
def read_trail(
    service: TheService,
    _: Admin,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[int | None, Query(ge=0, le=2**53), Field(description="id of the last entry before")] = None,
) -> list[dict[str, Any]]:
    """The newest entries first."""
    return service.store.read(lambda c: audit.read_trail(c, limit, before))


def _listed(service: TheService, table: Any) -> list[dict[str, Any]]:
    columns = (table.c.name, table.c.role, table.c.created, table.c.ended)
    rows = select(*columns).order_by(table.c.name)
    return service.store.read(lambda c: [dict(row) for row in c.execute(rows).mappings()])
