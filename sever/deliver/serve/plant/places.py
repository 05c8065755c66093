"""Where on a coil a defect lies: metres along it from its head, and across it from the left edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from sever.config.serve import StripSettings
from sever.deliver.serve.storage import tables

ROWS_AT_ONCE = 200


@dataclass(frozen=True)
class Place:
    """A defect on its coil; sizes in metres, `along` and `across` of its centre."""

    answer: str
    class_name: str
    along: float
    across: float
    length: float
    breadth: float
    area: int
    confidence: float


def places_of(row: Mapping[str, Any], strip: StripSettings) -> list[Place]:
    """Those of one answer (a row of the store)."""
    start, left = row["position_m"] or 0.0, row["across_m"] or 0.0
    found = []
    for each in row["classes"]:
        for defect in each["defects"]:
            x0, y0, x1, y1 = defect["box"]
            (a0, a1), (c0, c1) = ((x0, x1), (y0, y1)) if strip.along == "width" else ((y0, y1), (x0, x1))
            along, across = strip.mm_per_pixel_along / 1000, strip.mm_per_pixel_across / 1000
            found.append(
                Place(
                    row["uid"],
                    each["class"],
                    start + (a0 + a1) / 2 * along,
                    left + (c0 + c1) / 2 * across,
                    (a1 - a0) * along,
                    (c1 - c0) * across,
                    defect["area"],
                    defect["confidence"],
                )
            )
    return found


def places_on_coil(connection: Connection, coil: str, strip: StripSettings) -> list[Place]:
    """Every defect of a coil, from head to tail. However many images it has, a few of them are in memory at once."""
    answers = tables.answers
    columns = [answers.c[name] for name in ("uid", "position_m", "across_m", "classes")]
    rows = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(select(*columns).where(answers.c.coil == coil))
    return sorted(
        (place for row in rows.mappings() for place in places_of(dict(row), strip)), key=lambda each: each.along
    )


def count_on_coil(connection: Connection, coil: str) -> tuple[int, int]:
    """Images, and defects in them: also those that are too many in one image to be kept by their places."""
    answers = tables.answers.c
    sums = select(func.count(), func.coalesce(func.sum(answers.num_defects), 0)).where(answers.coil == coil)
    images, defects = connection.execute(sums).one()
    return int(images), int(defects)


def read_coil(connection: Connection, coil: str, limit: int, last_m: float | None = None) -> list[dict[str, Any]]:
    """The answers of a coil from head to tail; `last_m` only those so many metres before its last one."""
    answers, images = tables.answers, tables.images
    columns = (answers, images.c.height, images.c.width, images.c.kind, images.c.dropped)
    rows = select(*columns).select_from(answers.join(images)).where(answers.c.coil == coil)
    if last_m is not None:
        rows = rows.where(answers.c.position_m.is_not(None), answers.c.position_m >= last_m)
    rows = rows.order_by(answers.c.position_m.desc(), answers.c.id.desc()).limit(limit)
    return [dict(row) for row in connection.execute(rows).mappings()][::-1]
