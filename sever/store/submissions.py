"""The lines of the leaderboard's ledger, each a typed record: what was submitted, how it scored, what is being sent.

A line without a version was written before lines had one. Knows no competition, and not what a score means.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator

from sever.errors import InputError
from sever.records import Count, Probability, Record, Sha256
from sever.store.ledger import Record as Values

_MEND = "mend or delete that line; the others are untouched"


def _moment(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("it has no offset from UTC")
    return text


Moment: TypeAlias = Annotated[str, AfterValidator(_moment)]


class SubmissionRecord(Record):
    """A submission; file and hash are None for what was imported, and so is the time where only the order is known."""

    what_to_do: ClassVar[str] = _MEND

    record: Literal["submission"] = "submission"
    name: str
    time: Moment | None
    submission: str | None
    submission_sha256: Sha256 | None
    blend: str | None = None
    blend_sha256: Sha256 | None = None
    rules: str | None = None
    rules_sha256: Sha256 | None = None
    commit: str | None = None
    uncommitted_changes: bool | None = None
    message: str = ""
    reference: str | None = None
    cv: Probability | None = None
    public: Probability | None = None
    private: Probability | None = None


class ScoredRecord(Record):
    """Scores that became known later: of a submission in a line above, by its name."""

    what_to_do: ClassVar[str] = _MEND

    record: Literal["scores"] = "scores"
    name: str
    time: Moment | None = None
    cv: Probability | None = None
    public: Probability | None = None
    private: Probability | None = None


class SendingRecord(Record):
    """Written before a submission is sent, so that a process that dies then is found out; and once more, `unsent`,
    when it turned out that nothing had arrived. `newest` is Kaggle's number of the newest submission by then."""

    what_to_do: ClassVar[str] = _MEND

    record: Literal["sending", "unsent"]
    name: str
    time: Moment
    competition: str
    file_name: str
    kernel: str | None = None
    newest: Count
    submission: SubmissionRecord


Line: TypeAlias = SubmissionRecord | ScoredRecord | SendingRecord
KINDS: dict[str, type[Line]] = {
    "submission": SubmissionRecord,
    "scores": ScoredRecord,
    "sending": SendingRecord,
    "unsent": SendingRecord,
}


def parse_lines(lines: Iterable[Values], ledger: Path) -> list[Line]:
    """Raises InputError for a line that is none of these records, named by its number."""
    return [_parse(values, f"{ledger}, line {number}") for number, values in enumerate(lines, start=1)]


def _parse(values: dict[str, Any], source: str) -> Line:
    kind = KINDS.get(str(values.get("record")))
    if kind is None:
        raise InputError(f"{source} is not a record of a submission or of its scores; {_MEND}")
    return kind.parse(json.dumps(values), source)
