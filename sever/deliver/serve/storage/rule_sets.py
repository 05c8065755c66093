"""Decision rules that people saved, in versions, by the model that they belong to; none is ever changed.

Version 0 are the rules that the model came with. The version in service is kept, so that a restart changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, and_, func, select, update

from sever.deliver.serve.refusal import Refusal
from sever.deliver.serve.security.audit import note
from sever.deliver.serve.storage.tables import rule_sets, state

OWN = 0


def add_rules(connection: Connection, identity: str, rules: Mapping[str, Any], author: str, text: str) -> int:
    """Keep rules as the next version of this model's; returns it."""
    newest = select(func.max(rule_sets.c.version)).where(rule_sets.c.identity == identity)
    version = (connection.execute(newest).scalar() or OWN) + 1
    values = {"identity": identity, "version": version, "rules": dict(rules), "author": author}
    connection.execute(rule_sets.insert().values(values | {"note": text, "created": time.time()}))
    note(connection, author, "rules saved", identity, version=version, rules=dict(rules), note=text)
    return version


def read_versions(connection: Connection, identity: str) -> list[dict[str, Any]]:
    """The saved ones, the newest first."""
    columns = rule_sets.c
    rows = select(columns.version, columns.rules, columns.author, columns.created, columns.note)
    rows = rows.where(columns.identity == identity).order_by(columns.version.desc())
    return [dict(row) for row in connection.execute(rows).mappings()]


def rules_of(connection: Connection, identity: str, version: int) -> dict[str, Any] | None:
    """None for version 0. Raises Refusal (404) for one that is not there."""
    if version == OWN:
        return None
    columns = rule_sets.c
    rows = select(columns.rules).where(and_(columns.identity == identity, columns.version == version))
    found = connection.execute(rows).scalar()
    if found is None:
        raise Refusal(404, f"there is no version {version} of this model's rules")
    return dict(found)


def version_in_service(connection: Connection, identity: str) -> int:
    found = connection.execute(select(state.c.value).where(state.c.key == _key(identity))).scalar()
    return OWN if found is None else int(found)


def put_in_service(connection: Connection, identity: str, version: int, actor: str) -> None:
    key = _key(identity)
    changed = connection.execute(update(state).where(state.c.key == key).values(value=version)).rowcount
    if not changed:
        connection.execute(state.insert().values(key=key, value=version))
    note(connection, actor, "rules put in service", identity, version=version)


def _key(identity: str) -> str:
    return f"rules {identity[:32]}"
