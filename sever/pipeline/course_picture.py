"""`sever leaderboard draw`: submissions in their order with their scores, and scores to compare them with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from pathlib import Path

from sever.deliver.charts import Course, Line, draw_course
from sever.errors import InputError
from sever.pipeline.leaderboard import LEDGER, SCORE_KINDS, Submission, existing_course, moment_of


@dataclass(frozen=True)
class View:
    """What of the leaderboard is drawn, and beside what: `since` and `until` are inclusive, `lines` labelled scores,
    `chosen` names of submissions that get a line and a ring; `over` is order or time, None for what is known."""

    since: datetime | None = None
    until: datetime | None = None
    lines: Mapping[str, float] = field(default_factory=dict)
    chosen: Sequence[str] = ()
    over: str | None = None


def draw(output: Path, ledger: Path = LEDGER, view: View | None = None) -> None:
    """The scores as a PNG or SVG. Raises InputError where nothing has a score, and for what isn't there to draw."""
    view = view or View()
    everything = existing_course(ledger)
    numbers = {found.name: number for number, found in enumerate(everything, start=1)}
    made = _in_range(everything, view, ledger)
    scores = {kind: [_or_nan(getattr(found, kind)) for found in made] for kind in SCORE_KINDS}
    if all(math.isnan(score) for column in scores.values() for score in column):
        raise InputError(f"{ledger} has no score to draw yet; add one with `sever leaderboard score`")
    chosen = [_find(name, made, ledger) for name in view.chosen]
    lines = [Line(label, score) for label, score in view.lines.items()]
    lines += [Line(f"chosen: {made[row].name}", score, kind) for row in chosen for kind, score in _last(made[row])]
    moments = [moment_of(found) for found in made]
    over = view.over or ("order" if None in moments else "time")
    if over == "time" and None in moments:
        raise InputError(f"{ledger} has submissions whose time is not known; draw them with --over order")
    places: Sequence[float | datetime]
    places = [moment for moment in moments if moment] if over == "time" else [numbers[found.name] for found in made]
    draw_course(output, Course(places, scores, lines, chosen))


def day(text: str, end: bool = False) -> datetime:
    """A date or a time as typed, in UTC; a date alone means its begin, or its end."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{text!r} is not a date or time; type it as 2019-10-24 or 2019-10-24T18:30") from error
    if end and len(text) <= len("2019-10-24"):
        moment = datetime.combine(moment, time.max)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _in_range(made: Sequence[Submission], view: View, ledger: Path) -> list[Submission]:
    if view.since is None and view.until is None:
        return list(made)
    timeless = [found.name for found in made if found.time is None]
    if timeless:
        raise InputError(
            f"{ledger} does not say when {timeless[0]} was made ({len(timeless)} of {len(made)} have no time), so that "
            "no range of dates can be taken; import a table that has a column for the time"
        )
    within = [found for found in made if _is_within(moment_of(found), view)]
    if not within:
        raise InputError(f"{ledger} has no submission between these dates; `sever leaderboard show` lists them")
    return within


def _is_within(moment: datetime | None, view: View) -> bool:
    assert moment is not None
    return (view.since is None or moment >= view.since) and (view.until is None or moment <= view.until)


def _find(name: str, made: Sequence[Submission], ledger: Path) -> int:
    for row, found in enumerate(made):
        if found.name == name:
            return row
    raise InputError(f"{ledger} has no submission {name} to draw; it has {', '.join(found.name for found in made)}")


def _last(made: Submission) -> list[tuple[str, float]]:
    """The score that counts in the end: the private one where it is known, else the public one."""
    for kind in ("private", "public"):
        score = getattr(made, kind)
        if score is not None:
            return [(kind, score)]
    return []


def _or_nan(score: float | None) -> float:
    return math.nan if score is None else score
