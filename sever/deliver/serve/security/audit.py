"""The trail of what people and keys did: it only grows (the database's triggers see to it), and each entry's digest
holds that of the one before, so that a change made behind the database's back shows."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

from sqlalchemy import Connection, select

from sever.deliver.serve.storage import tables


def note(connection: Connection, actor: str, action: str, subject: str = "", **about: Any) -> None:
    """Add an entry, in the same transaction as what it tells of."""
    last = connection.execute(select(tables.audit.c.digest).order_by(tables.audit.c.id.desc()).limit(1)).scalar()
    entry = {
        "at": time.time(),
        "actor": actor,
        "action": action,
        "subject": subject,
        "about": json.dumps(about, sort_keys=True),
    }
    connection.execute(tables.audit.insert().values(**entry, digest=_digest(last or "", entry)))


def read_trail(connection: Connection, limit: int, before: int | None = None) -> list[dict[str, Any]]:
    """The newest entries first."""
    rows = select(tables.audit).order_by(tables.audit.c.id.desc()).limit(limit)
    if before is not None:
        rows = rows.where(tables.audit.c.id < before)
    return [dict(row) | {"about": json.loads(row["about"])} for row in connection.execute(rows).mappings()]


def first_broken(connection: Connection) -> int | None:
    """The number of the first entry that is not what was written, or follows one that is missing; None: all is well."""
    last = ""
    for row in connection.execute(select(tables.audit).order_by(tables.audit.c.id)).mappings():
        entry = {key: row[key] for key in ("at", "actor", "action", "subject", "about")}
        if row["digest"] != _digest(last, entry):
            return int(row["id"])
        last = row["digest"]
    return None


def _digest(last: str, entry: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps([last, entry], sort_keys=True).encode()).hexdigest()
