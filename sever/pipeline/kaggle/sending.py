"""What was about to be sent when a process died: noted beforehand, and looked for at Kaggle by the next one.

Between Kaggle's answer and the leaderboard's line there is always a moment. So a line goes first that says what is
about to be sent; without a submission of that name below it, nobody knows whether it arrived. Kaggle's own list does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from sever.deliver.kaggle.client import Kaggle
from sever.deliver.kaggle.submit import newer_submissions, newest_submission
from sever.locks import taking_turns
from sever.pipeline.leaderboard import Submission, now, record_submission, submissions_by_name
from sever.progress import info
from sever.store.ledger import append_record, read_ledger
from sever.store.submissions import SendingRecord, SubmissionRecord, parse_lines

# Kaggle may need a moment until its list has what it took.
SECOND_LOOK_SECONDS = 15.0


@contextmanager
def one_sender(ledger: Path) -> Iterator[None]:
    """Only one process at a time is between announcing and recording what it sends."""
    refusal = f"another sever has been sending a submission that {ledger} will note"
    with taking_turns(ledger.with_name(f"{ledger.name}.sending"), refusal):
        yield


def announce(
    kaggle: Kaggle, made: Submission, competition: str, file_name: str, kernel: str | None, ledger: Path
) -> None:
    """Note what is sent in the next moment, and the newest submission that Kaggle has until then."""
    line = SendingRecord(
        record="sending",
        name=made.name,
        time=now(),
        competition=competition,
        file_name=file_name,
        kernel=kernel,
        newest=newest_submission(kaggle, competition),
        submission=made.as_record(),
    )
    append_record(ledger, lambda before: line.as_json())


def settle(kaggle: Kaggle, ledger: Path, competition: str | None = None) -> None:
    """Look for everything that was announced and never recorded, in this competition or in all; what Kaggle has is
    recorded now."""
    for line in pending(ledger):
        if competition not in (None, line.competition):
            continue
        number = _find(kaggle, line, ledger)
        if number is None:
            append_record(ledger, lambda before, line=line: line.model_copy(update={"record": "unsent"}).as_json())  # type: ignore[misc]
            info(f"{line.name} was about to be sent when `sever submit` was stopped; Kaggle does not have it")
        else:
            made = replace(Submission.of(line.submission), reference=f"{line.competition}/{number}")
            record_submission(made, ledger)
            info(f"{line.name} had reached Kaggle when `sever submit` was stopped ({made.reference}); recorded now")


def kernels_by_name(ledger: Path) -> dict[str, str | None]:
    """The kernel that each submission was sent from, where that was noted."""
    lines = parse_lines(read_ledger(ledger), ledger)
    return {line.name: line.kernel for line in lines if isinstance(line, SendingRecord)}


def pending(ledger: Path) -> list[SendingRecord]:
    """What was announced, and of which nobody knows whether it arrived."""
    found: dict[str, SendingRecord] = {}
    for line in parse_lines(read_ledger(ledger), ledger):
        if isinstance(line, SendingRecord) and line.record == "sending":
            found[line.name] = line
        elif isinstance(line, SendingRecord | SubmissionRecord):
            found.pop(line.name, None)
    return list(found.values())


def _find(kaggle: Kaggle, line: SendingRecord, ledger: Path) -> int | None:
    """Kaggle's number of it: the first that is newer than what was there, under the same file name and message."""
    known = {made.reference for made in submissions_by_name(read_ledger(ledger), ledger).values()}
    for look in range(2):
        if look:
            kaggle.patience.sleep(SECOND_LOOK_SECONDS)
        numbers = [
            found.number
            for found in newer_submissions(kaggle, line.competition, line.newest)
            if (found.file_name, found.message.strip()) == (line.file_name, line.submission.message.strip())
            and found.owner in ("", kaggle.owner)
            and f"{line.competition}/{found.number}" not in known
        ]
        if numbers:
            return min(numbers)
    return None
