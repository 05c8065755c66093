"""`sever leaderboard import`: a table of past submissions, from whatever program, into the leaderboard's records."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from sever.data.text_table import ROW, read_text_table
from sever.errors import InputError
from sever.pipeline.leaderboard import LEDGER, SCORE_KINDS, Submission, scores_line, submissions_by_name
from sever.store.ledger import Record, append_records

# How columns are called that mean the same, without capitals, spaces and signs. The first that is there counts.
ALIASES: dict[str, tuple[str, ...]] = {
    "name": ("name", "submission", "title", "kernel", "notebook", "model", "family", "filename", "file"),
    "version": ("version", "kernelversion", "scriptversion"),
    "time": ("time", "date", "datetime", "timestamp", "submitted", "submittedat", "when", "created"),
    "order": ("order", "number", "no", "nr", "index", "rank", "row"),
    "cv": ("cv", "cvscore", "local", "localscore", "validation"),
    "public": ("public", "publicscore", "publiclb", "publicleaderboard", "lb"),
    "private": ("private", "privatescore", "privatelb", "privateleaderboard"),
    "message": ("message", "description", "comment", "comments", "note", "notes"),
}
NO_SCORE = {"", "-", "none", "nan", "null", "n/a", "pending"}


@dataclass(frozen=True)
class ImportedSubmissions:
    """What an import did: submissions that are new, those that got scores, and those that were known as they are."""

    new: int
    scored: int
    known: int


def import_submissions(table: Path, columns: Mapping[str, str], ledger: Path = LEDGER) -> ImportedSubmissions:
    """Add the rows of a CSV to the leaderboard, all or none; a row that is there already only adds scores it lacks.

    `columns` says which column is what (of ALIASES), where its name doesn't tell. Raises InputError for a table without
    names or scores, a cell that can't be read, and a row that contradicts the leaderboard.
    """
    rows = read_past(table, columns)
    done = ImportedSubmissions(0, 0, 0)

    def make(records: list[Record]) -> list[Record]:
        nonlocal done
        there = submissions_by_name(records, ledger)
        _raise_unless_consistent(rows, there, table, ledger)
        new = [row for row in rows if row.name not in there]
        later = [record for row in rows if row.name in there and (record := _later_scores(row, there[row.name]))]
        done = ImportedSubmissions(len(new), len(later), len(rows) - len(new) - len(later))
        return [row.as_line() for row in new] + later

    append_records(ledger, make)
    return done


def read_past(table: Path, columns: Mapping[str, str]) -> list[Submission]:
    """The rows of the CSV in the order in which they were made: by time, else by number, else as they stand."""
    frame, _ = read_text_table(table, [()])
    if frame.empty:
        raise InputError(f"{table} has no row")
    found = _find_columns([str(name) for name in frame.columns if name != ROW], columns, table)
    texts = pd.DataFrame({kind: frame[column] for kind, column in found.items()})
    places = [f"{table}, row {row}" for row in frame[ROW]]
    cells = [dict(zip(texts.columns, row, strict=True)) for row in texts.itertuples(index=False)]
    order = _order(cells, places)
    names = _names([cells[row] for row in order], [places[row] for row in order])
    return [_submission(name, cells[row], places[row]) for name, row in zip(names, order, strict=True)]


def _find_columns(there: list[str], given: Mapping[str, str], table: Path) -> dict[str, str]:
    """Which column is what. Raises InputError where names or scores are nowhere, or a column is given that isn't."""
    said = f"it has {', '.join(there)}"
    for kind, column in given.items():
        if kind not in ALIASES:
            raise InputError(f"--column {kind}={column}: there is no {kind}; there are {', '.join(ALIASES)}")
        if column not in there:
            raise InputError(f"--column {kind}={column}: {table} has no column {column}; {said}")
    plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in reversed(there)}
    guessed = {kind: next((plain[alias] for alias in known if alias in plain), None) for kind, known in ALIASES.items()}
    found = {kind: column for kind, column in (guessed | dict(given)).items() if column is not None}
    for wanted, what in ((["name"], "the submissions' names"), (["public", "private"], "a score")):
        if not set(wanted) & set(found):
            raise InputError(
                f"{table} has no column for {what}: {said}; say which it is with --column {wanted[0]}=COLUMN"
            )
    return found


def _order(cells: list[dict[str, str]], places: list[str]) -> list[int]:
    for kind in ("time", "order"):
        if all(cell.get(kind) for cell in cells):
            read = _moment if kind == "time" else _number
            values = [read(cell[kind], place) for cell, place in zip(cells, places, strict=True)]
            return sorted(range(len(cells)), key=values.__getitem__)
    return list(range(len(cells)))


def _names(cells: list[dict[str, str]], places: list[str]) -> list[str]:
    """Name and version; equal ones (Kaggle's `submission.csv`) are numbered in their order."""
    names = []
    for cell, place in zip(cells, places, strict=True):
        if not cell["name"]:
            raise InputError(f"{place}: the submission has no name")
        names.append(" ".join(part for part in (cell["name"], cell.get("version", "")) if part))
    counts, seen = Counter(names), Counter[str]()
    for at, name in enumerate(names):
        if counts[name] > 1:
            seen[name] += 1
            names[at] = f"{name} ({seen[name]})"
    return names


def _submission(name: str, cell: dict[str, str], place: str) -> Submission:
    cv, public, private = (_score(cell.get(kind, ""), f"{place}: {kind}") for kind in SCORE_KINDS)
    time = _moment(cell["time"], place).isoformat(timespec="seconds") if cell.get("time") else None
    message = cell.get("message", "")
    return Submission(name, time, None, None, message=message, cv=cv, public=public, private=private)


def _moment(text: str, place: str) -> datetime:
    """ISO 8601; without an offset it is UTC, as Kaggle's times are."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{place}: the time {text!r} is not as 2019-10-24 or 2019-10-24 18:30:00") from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _number(text: str, place: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{place}: the number {text!r} is none, so that the order is not known") from error


def _score(text: str, place: str) -> float | None:
    if text.lower() in NO_SCORE:
        return None
    try:
        score = float(text)
    except ValueError as error:
        raise InputError(f"{place} score {text!r} is not a number") from error
    if not 0 <= score <= 1:
        raise InputError(f"{place} score {text} is not between 0 and 1")
    return score


def _raise_unless_consistent(
    rows: list[Submission], there: Mapping[str, Submission], table: Path, ledger: Path
) -> None:
    for row in rows:
        known = there.get(row.name)
        if known is not None and row.time != known.time:
            raise InputError(
                f"{ledger} has a submission {row.name} of {known.time or 'unknown time'} already, but in {table} it is "
                f"of {row.time or 'unknown time'}: rename one of them, or import into another --ledger"
            )


def _later_scores(row: Submission, known: Submission) -> Record | None:
    """The scores of a row that the leaderboard does not have, or has otherwise: a later one replaces an earlier one."""
    scores = {
        kind: score
        for kind in SCORE_KINDS
        if (score := getattr(row, kind)) is not None and score != getattr(known, kind)
    }
    return scores_line(row.name, scores) if scores else None
