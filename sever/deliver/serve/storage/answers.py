"""Answers in the database: written once each, found again by filters; the functions take a connection."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, func, or_, select, update
from sqlalchemy.engine import RowMapping

from sever.deliver.serve.model import ServedModel, rules_identity
from sever.deliver.serve.storage import tables

NEW = "new"


@dataclass(frozen=True)
class Original:
    """The image that an answer is about, as it came."""

    sha256: str
    kind: str
    num_bytes: int
    height: int
    width: int


@dataclass(frozen=True)
class Source:
    """What the sender says of an image: nothing of it is trusted, all of it is only kept and shown."""

    source: str
    name: str = ""
    request_key: str | None = None
    coil: str | None = None
    position_m: float | None = None
    across_m: float | None = None


@dataclass(frozen=True)
class Found:
    """What the model says of it."""

    classes: list[dict[str, Any]]
    uncertainty: float
    brightness: float
    seconds: float
    familiarity: float | None = None


def model_row(connection: Connection, model: ServedModel) -> int:
    """The number of a model with its rules, noted at its first answer."""
    columns, rules = tables.models.c, rules_identity(model)
    same = and_(columns.identity == model.identity, columns.rules_identity == rules)
    row = connection.execute(select(columns.id).where(same)).scalar()
    if row is not None:
        return int(row)
    values = {
        "name": model.name,
        "identity": model.identity,
        "rules_identity": rules,
        "class_names": list(model.class_names),
        "rules": model.rules,
        "first_seen": time.time(),
    }
    return _inserted(connection, tables.models, values)


def add_answer(
    connection: Connection, model: int, original: Original, source: Source, found: Found
) -> tuple[str, bool]:
    """Keep an answer; returns its uid, and whether it is a new one. The same request key is kept once."""
    if source.request_key is not None and (uid := uid_of_request(connection, source.request_key)) is not None:
        return uid, False
    _add_image(connection, original)
    uid = uuid.uuid4().hex
    number = _inserted(
        connection,
        tables.answers,
        {
            "uid": uid,
            "request_key": source.request_key,
            "image": original.sha256,
            "model": model,
            "name": source.name,
            "source": source.source,
            "coil": source.coil,
            "position_m": source.position_m,
            "across_m": source.across_m,
            "created": time.time(),
            "seconds": found.seconds,
            "brightness": found.brightness,
            "uncertainty": found.uncertainty,
            "familiarity": found.familiarity,
            "num_defects": sum(each["num_defects"] for each in found.classes),
            "verdict": NEW,
            "version": 0,
            "classes": found.classes,
        },
    )
    present = [
        {"answer": number, "class_name": each["class"]}
        | {key: each[key] for key in ("area", "num_defects", "confidence")}
        for each in found.classes
        if each["present"]
    ]
    if present:
        connection.execute(tables.found.insert(), present)
    return uid, True


def uid_of_request(connection: Connection, request_key: str) -> str | None:
    columns = tables.answers.c
    return connection.execute(select(columns.uid).where(columns.request_key == request_key)).scalar()


def read_answer(connection: Connection, uid: str) -> RowMapping | None:
    """One answer with its image and model."""
    return connection.execute(_joined().where(tables.answers.c.uid == uid)).mappings().first()


def as_given(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the store as the API gives it."""
    return {
        "id": row["uid"],
        "name": row["name"],
        "source": row["source"],
        "request_key": row["request_key"],
        "coil": row["coil"],
        "position_m": row["position_m"],
        "across_m": row["across_m"],
        "created": row["created"],
        "seconds": round(row["seconds"], 6),
        "image": {
            "sha256": row["image"],
            "height": row["height"],
            "width": row["width"],
            "kept": row["dropped"] is None,
        },
        "model": {"name": row["model_name"], "identity": row["identity"], "rules": row["rules_identity"]},
        "brightness": row["brightness"],
        "uncertainty": row["uncertainty"],
        "familiarity": row["familiarity"],
        "num_defects": row["num_defects"],
        "verdict": row["verdict"],
        "version": row["version"],
        "classes": row["classes"],
    }


@dataclass(frozen=True)
class Filter:
    """Which answers; what is None is not asked for. `before` is the last (value, id) of the page before."""

    coil: str | None = None
    class_name: str | None = None
    verdict: str | None = None
    source: str | None = None
    model: str | None = None
    since: float | None = None
    until: float | None = None
    alarmed: bool = False


# What a queue can be sorted by, the most urgent first.
ORDERS = {
    "time": tables.answers.c.created,
    "uncertainty": tables.answers.c.uncertainty,
    "defects": tables.answers.c.num_defects,
    "position": tables.answers.c.position_m,
}


def find_answers(
    connection: Connection, wanted: Filter, order: str, limit: int, after: tuple[float, int] | None = None
) -> Sequence[RowMapping]:
    """A page of answers; `after` is the place (value of the order, id) where the last page ended."""
    column = func.coalesce(ORDERS[order], -1.0)
    rows = _joined().add_columns(column.label("place")).where(*_conditions(wanted))
    number = tables.answers.c.id
    if after is not None:
        rows = rows.where(or_(column < after[0], and_(column == after[0], number < after[1])))
    return connection.execute(rows.order_by(column.desc(), number.desc()).limit(limit)).mappings().all()


def count_answers(connection: Connection, wanted: Filter) -> int:
    rows = select(func.count()).select_from(tables.answers.join(tables.models)).where(*_conditions(wanted))
    return int(connection.execute(rows).scalar_one())


def set_verdict(connection: Connection, number: int, verdict: str, version: int) -> None:
    answers = tables.answers
    connection.execute(update(answers).where(answers.c.id == number).values(verdict=verdict, version=version))


def _conditions(wanted: Filter) -> list[Any]:
    answers, found = tables.answers.c, tables.found.c
    conditions = [
        column == value
        for column, value in (
            (answers.coil, wanted.coil),
            (answers.verdict, wanted.verdict),
            (answers.source, wanted.source),
            (tables.models.c.identity, wanted.model),
        )
        if value is not None
    ]
    if wanted.class_name is not None:
        conditions.append(answers.id.in_(select(found.answer).where(found.class_name == wanted.class_name)))
    if wanted.alarmed:
        conditions.append(answers.id.in_(select(tables.alarms.c.answer)))
    if wanted.since is not None:
        conditions.append(answers.created >= wanted.since)
    if wanted.until is not None:
        conditions.append(answers.created < wanted.until)
    return conditions


def _joined() -> Select[Any]:
    answers, images, models = tables.answers, tables.images, tables.models
    return select(
        answers,
        images.c.kind,
        images.c.height,
        images.c.width,
        images.c.dropped,
        models.c.name.label("model_name"),
        models.c.identity,
        models.c.rules_identity,
    ).select_from(answers.join(images).join(models))


def _add_image(connection: Connection, original: Original) -> None:
    columns = tables.images.c
    known = connection.execute(select(columns.dropped).where(columns.sha256 == original.sha256)).first()
    if known is None:
        values = {"sha256": original.sha256, "kind": original.kind, "bytes": original.num_bytes}
        values |= {"height": original.height, "width": original.width, "first_seen": time.time()}
        connection.execute(tables.images.insert().values(values))
    elif known[0] is not None:  # it had been dropped, and is on the disk again
        connection.execute(update(tables.images).where(columns.sha256 == original.sha256).values(dropped=None))


def _inserted(connection: Connection, table: Any, values: dict[str, Any]) -> int:
    key = connection.execute(table.insert().values(values)).inserted_primary_key
    assert key is not None
    return int(key[0])
