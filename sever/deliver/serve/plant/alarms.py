"""Whether an answer raises an alarm; raised in the transaction that keeps the answer, so never twice and never lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Connection, select

from sever.config.serve import AlarmSettings, StripSettings
from sever.deliver.serve.plant.periods import find_period
from sever.deliver.serve.plant.places import Place, places_of, read_coil
from sever.deliver.serve.storage import tables

MOST_IMAGES = 2000
# Metres over which periodic marks are looked for, in their largest spacing.
TURNS = 12
Verdict: TypeAlias = dict[str, Any] | None


def raise_alarms(
    connection: Connection, uid: str, rules: Sequence[AlarmSettings], strip: StripSettings
) -> list[dict[str, Any]]:
    """Judge a kept answer by every rule; returns the alarms, which are kept by then."""
    answers = tables.answers
    row = dict(connection.execute(select(answers).where(answers.c.uid == uid)).mappings().one())
    if not row["num_defects"]:
        return []
    row |= _size(connection, row)
    raised = []
    for rule in rules:
        about = _KINDS[rule.kind](connection, row, rule, strip)
        if about is None or _is_known(connection, row, rule):
            continue
        alarm = {"rule": rule.name, "coil": row["coil"], "position_m": row["position_m"], "created": time.time()}
        alarm |= {"about": {"kind": rule.kind, "class": rule.class_name, **about}}
        key = connection.execute(tables.alarms.insert().values(**alarm, answer=row["id"])).inserted_primary_key
        raised.append({"id": key[0] if key else None, "answer": uid, **alarm})
    return raised


def in_words(about: Mapping[str, Any]) -> str:
    """What raised an alarm, for a log."""
    of = f" of class {about['class']}" if about["class"] else ""
    if about["kind"] == "share":
        return f"{about['share']:.1%} of the image's area is defective{of}"
    if about["kind"] == "count":
        return f"{about['defects']} defects{of} within {about['metres']:g} m"
    roll = f", as of {about['roll']}" if about["roll"] else ""
    return f"{about['marks']} marks{of}, {about['spacing_m']:g} m apart{roll}"


def _share(_: Connection, row: Mapping[str, Any], rule: AlarmSettings, strip: StripSettings) -> Verdict:
    share = sum(each["area_share"] for each in row["classes"] if rule.class_name in (None, each["class"]))
    return {"share": round(share, 6)} if share >= rule.share else None


def _count(connection: Connection, row: Mapping[str, Any], rule: AlarmSettings, strip: StripSettings) -> Verdict:
    """Those in the stretch that ends with this image's last defect."""
    mine = _of_class(places_of(row, strip), rule)
    if row["coil"] is None or row["position_m"] is None or not mine:
        return None
    end = max(place.along for place in mine)
    places = _around(connection, row, rule, strip, rule.metres)
    count = sum(end - rule.metres < place.along <= end for place in places)
    return {"defects": count, "metres": rule.metres} if count >= rule.defects else None


def _periodic(connection: Connection, row: Mapping[str, Any], rule: AlarmSettings, strip: StripSettings) -> Verdict:
    if row["coil"] is None or row["position_m"] is None or not _of_class(places_of(row, strip), rule):
        return None
    places = _around(connection, row, rule, strip, TURNS * rule.metres)
    along, across = [place.along for place in places], [place.across for place in places]
    least, start = max(3, rule.defects), row["position_m"]  # a chain that ended before this image is no news
    found = find_period(along, across, least, rule.metres, rule.tolerance_m, start)
    if found is None:
        return None
    near = [roll for roll in rule.rolls if abs(roll.circumference_m - found.spacing) <= rule.tolerance_m]
    roll = min(near, key=lambda each: abs(each.circumference_m - found.spacing)).name if near else None
    return {"spacing_m": found.spacing, "marks": found.marks, "across_m": found.across, "roll": roll}


_KINDS: dict[str, Callable[[Connection, Mapping[str, Any], AlarmSettings, StripSettings], Verdict]] = {
    "count": _count,
    "share": _share,
    "periodic": _periodic,
}


def _around(
    connection: Connection, row: Mapping[str, Any], rule: AlarmSettings, strip: StripSettings, metres: float
) -> list[Place]:
    """Defects of the coil up to so many metres before this image, its own included."""
    longest = _length(row, strip)
    rows = read_coil(connection, row["coil"], MOST_IMAGES, row["position_m"] - metres - longest)
    return _of_class([place for each in rows for place in places_of(each, strip)], rule)


def _of_class(places: list[Place], rule: AlarmSettings) -> list[Place]:
    return [place for place in places if rule.class_name in (None, place.class_name)]


def _is_known(connection: Connection, row: Mapping[str, Any], rule: AlarmSettings) -> bool:
    """One alarm for one trouble: not again within its metres of the coil. A share belongs to its image alone."""
    if rule.kind == "share" or row["position_m"] is None:
        return False
    alarms = tables.alarms.c
    since = row["position_m"] - rule.metres
    known = select(alarms.id).where(alarms.rule == rule.name, alarms.coil == row["coil"], alarms.position_m > since)
    return connection.execute(known.limit(1)).first() is not None


def _size(connection: Connection, row: Mapping[str, Any]) -> dict[str, int]:
    images = tables.images.c
    size = connection.execute(select(images.height, images.width).where(images.sha256 == row["image"])).one()
    return {"height": size.height, "width": size.width}


def _length(row: Mapping[str, Any], strip: StripSettings) -> float:
    return float(row[strip.along]) * strip.mm_per_pixel_along / 1000
