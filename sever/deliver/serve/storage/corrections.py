"""What people say of an answer: versions, each on top of the one its author saw; none is changed or lost.

A version that is sent on top of an older one is refused: its author is told who was first, and decides again. The same
request key is kept once, so that a page which was cut off may send again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.engine import RowMapping

from sever.deliver.serve.refusal import Refusal
from sever.deliver.serve.security.audit import note
from sever.deliver.serve.storage import tables
from sever.deliver.serve.storage.answers import read_answer, set_verdict

ACCEPTED, REJECTED, CORRECTED = "accepted", "rejected", "corrected"


@dataclass(frozen=True)
class Correction:
    """`base` is the version that its author saw (0: the model's answer). `runs` of every class, for CORRECTED."""

    base: int
    verdict: str
    runs: Mapping[str, str]
    text: str = ""
    request_key: str | None = None


def add_correction(connection: Connection, uid: str, given: Correction, author: str) -> dict[str, Any]:
    """Keep it as the next version. Raises Refusal (404, 409)."""
    if given.request_key is not None and (known := _by_key(connection, uid, given.request_key)) is not None:
        return known
    answer = read_answer(connection, uid)
    if answer is None:
        raise Refusal(404, "there is no such answer")
    if given.base != answer["version"]:
        raise _conflict(connection, answer, given)
    values = {
        "answer": answer["id"],
        "version": given.base + 1,
        "request_key": given.request_key,
        "author": author,
        "created": time.time(),
        "verdict": given.verdict,
        "note": given.text,
        "masks": _masks(answer["classes"], given),
    }
    connection.execute(tables.corrections.insert().values(values))
    set_verdict(connection, answer["id"], given.verdict, given.base + 1)
    note(connection, author, f"answer {given.verdict}", uid, version=given.base + 1)
    return as_given(values)


def read_corrections(connection: Connection, uid: str) -> list[dict[str, Any]]:
    """All versions, the first one first."""
    answers, corrections = tables.answers, tables.corrections
    rows = select(corrections).select_from(corrections.join(answers)).where(answers.c.uid == uid)
    return [as_given(row) for row in connection.execute(rows.order_by(corrections.c.version)).mappings()]


def as_given(row: Mapping[str, Any] | RowMapping) -> dict[str, Any]:
    return {key: row[key] for key in ("version", "author", "created", "verdict", "note", "masks")}


def _masks(classes: Sequence[Mapping[str, Any]], given: Correction) -> list[dict[str, str]]:
    """The whole truth that this version states, so that no older one is needed to read it."""
    names = [each["class"] for each in classes]
    if given.verdict == ACCEPTED:
        return [{"class": each["class"], "runs": each["runs"]} for each in classes]
    if given.verdict == REJECTED:
        return [{"class": name, "runs": ""} for name in names]
    unknown = set(given.runs) - set(names)
    if unknown:
        raise Refusal(422, f"the class {min(unknown)[:100]!r} is unknown; choose one of {', '.join(names)}")
    return [{"class": name, "runs": given.runs.get(name, "")} for name in names]


def _conflict(connection: Connection, answer: RowMapping, given: Correction) -> Refusal:
    if given.base > answer["version"]:
        return Refusal(409, f"there is no version {given.base} yet; the newest is {answer['version']}")
    columns = tables.corrections.c
    newest = select(columns.author, columns.verdict, columns.created)
    newest = newest.where(columns.answer == answer["id"], columns.version == answer["version"])
    row = connection.execute(newest).one()
    ago = max(0, round(time.time() - row.created))
    return Refusal(
        409,
        f"{row.author} saved version {answer['version']} ({row.verdict}) {ago} s ago, and yours is based on version "
        f"{given.base}; look at it, and decide again",
    )


def _by_key(connection: Connection, uid: str, key: str) -> dict[str, Any] | None:
    answers, corrections = tables.answers, tables.corrections
    rows = select(corrections, answers.c.uid).select_from(corrections.join(answers))
    row = connection.execute(rows.where(corrections.c.request_key == key)).mappings().first()
    if row is not None and row["uid"] != uid:
        raise Refusal(409, "this Idempotency-Key was used for another answer")
    return None if row is None else as_given(row)
