"""How it went over time, counted by the database: images, defects by class, brightness, people's words, seconds."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Integer, Select, and_, case, cast, func, select

from sever.config.serve import StripSettings
from sever.deliver.serve.storage import tables
from sever.deliver.serve.storage.answers import NEW
from sever.deliver.serve.storage.corrections import ACCEPTED


def statistics(connection: Connection, since: float, until: float, bins: int, strip: StripSettings) -> dict[str, Any]:
    """Equal intervals from `since` to `until`, the empty ones too, and the same of all of it."""
    width = (until - since) / bins
    answers = tables.answers.c
    inside = and_(answers.created >= since, answers.created < until)
    place = cast(func.floor((answers.created - since) / width), Integer).label("place")
    rows = connection.execute(_sums(strip, place).where(inside).group_by(place)).mappings().all()
    by_place = {row["place"]: row for row in rows}
    defects = _defects(connection, inside, place)
    empty = {"images": 0, "defects_all": 0, "judged": 0, "accepted": 0, "metres": 0.0}
    found = [
        _told(by_place.get(index, empty)) | {"since": since + index * width, "defects": defects.get(index, {})}
        for index in range(bins)
    ]
    totals = _told(connection.execute(_sums(strip).where(inside)).mappings().one())
    return {"bins": found, "totals": totals | {"since": since, "defects": sum(row["defects_all"] for row in rows)}}


def _sums(strip: StripSettings, *beside: Any) -> Select[Any]:
    """`metres`: of strip that the images show; images that overlap count twice."""
    answers, images = tables.answers.c, tables.images.c
    pixels = images.width if strip.along == "width" else images.height
    sums = [
        func.count().label("images"),
        (func.coalesce(func.sum(pixels), 0) * (strip.mm_per_pixel_along / 1000)).label("metres"),
        func.coalesce(func.sum(answers.num_defects), 0).label("defects_all"),
        func.avg(answers.brightness).label("brightness"),
        func.avg(answers.familiarity).label("familiarity"),
        func.avg(answers.seconds).label("seconds_mean"),
        func.max(answers.seconds).label("seconds_most"),
        func.coalesce(func.sum(case((answers.verdict != NEW, 1), else_=0)), 0).label("judged"),
        func.coalesce(func.sum(case((answers.verdict == ACCEPTED, 1), else_=0)), 0).label("accepted"),
    ]
    return select(*beside, *sums).select_from(tables.answers.join(tables.images))


def _defects(connection: Connection, inside: Any, place: Any) -> dict[int, dict[str, int]]:
    found = tables.found
    rows = select(place, found.c.class_name, func.sum(found.c.num_defects).label("count"))
    rows = rows.select_from(found.join(tables.answers)).where(inside).group_by(place, found.c.class_name)
    counts: dict[int, dict[str, int]] = {}
    for row in connection.execute(rows).mappings():
        counts.setdefault(row["place"], {})[row["class_name"]] = int(row["count"])
    return counts


def _told(row: Any) -> dict[str, Any]:
    means = ("brightness", "familiarity", "seconds_mean", "seconds_most")
    counts: dict[str, Any] = {key: int(row[key]) for key in ("images", "judged", "accepted")}
    counts["metres"] = round(float(row["metres"]), 3)
    return counts | {key: None if row.get(key) is None else float(row[key]) for key in means}
