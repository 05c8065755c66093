"""`sever leaderboard`: what was submitted when, from which blend, rules and commit, and how it scored.

Kept as records that are only added to: a submission, then scores of it as they become known; a later score replaces
an earlier one of the same kind, and the file keeps both.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from sever.errors import InputError
from sever.files import sha256_of
from sever.near_names import missing, unreadable
from sever.store import Evidence
from sever.store.ledger import Record, append_record, raise_unless_writable, read_ledger
from sever.store.submissions import ScoredRecord, SubmissionRecord, parse_lines

LEDGER = Path("saved") / "leaderboard.jsonl"
SCORE_KINDS = ("cv", "public", "private")
# What a blend decided by, in this order; its maps are left out, for they are large and the score table follows them.
FINGERPRINTED = ("evidence.json", "folds.csv", "labels.csv", "pairs.csv", "rules.json")
GIT_SECONDS = 20


@dataclass(frozen=True)
class Submission:
    """One submission with the scores known of it. Hashes are SHA-256; `time` is ISO 8601 with its offset; `reference`
    is COMPETITION/NUMBER, by which Kaggle knows it. Of what was imported file and hash are None, and so is the time
    where only the order was known."""

    name: str
    time: str | None
    submission: str | None
    submission_sha256: str | None
    blend: str | None = None
    blend_sha256: str | None = None
    rules: str | None = None
    rules_sha256: str | None = None
    commit: str | None = None
    uncommitted_changes: bool | None = None
    message: str = ""
    reference: str | None = None
    cv: float | None = None
    public: float | None = None
    private: float | None = None

    @staticmethod
    def of(line: SubmissionRecord) -> Submission:
        return Submission(**line.model_dump(exclude={"version", "record"}))

    def as_record(self) -> SubmissionRecord:
        return SubmissionRecord.model_validate(asdict(self))

    def as_line(self) -> Record:
        return self.as_record().as_json()


def draft_submission(
    name: str,
    submission: Path,
    *,
    blend: Path | None = None,
    rules: Path | None = None,
    cv: float | None = None,
    public: float | None = None,
    private: float | None = None,
    message: str = "",
) -> Submission:
    """What is to be recorded of a submission; with a blend, `rules` are its own and `cv` its mean Dice, unless given.

    Raises InputError for a missing file, or a score outside 0..1.
    """
    scores = checked_scores({"cv": cv, "public": public, "private": private})
    if not name.strip():
        raise InputError("a submission needs a name to find it by")
    evidence = None if blend is None else Evidence.find(blend)
    if evidence is not None:
        rules = rules or evidence.rules_file
        if scores["cv"] is None:
            scores["cv"] = float(evidence.read_pairs()["dice"].mean())
    commit, changed = _git_state()
    return Submission(
        name,
        now(),
        str(submission),
        _hash_file(submission),
        None if evidence is None else str(evidence.folder),
        None if evidence is None else fingerprint_evidence(evidence),
        None if rules is None else str(rules),
        None if rules is None else _hash_file(rules),
        commit,
        changed,
        message,
        cv=scores["cv"],
        public=scores["public"],
        private=scores["private"],
    )


def record_submission(made: Submission, ledger: Path = LEDGER) -> Submission:
    """Add a submission that is made now. Raises InputError for a name that is taken, or a damaged ledger."""

    def make(records: list[Record]) -> Record:
        if made.name in submissions_by_name(records, ledger):
            raise InputError(_taken(made.name, ledger))
        return made.as_line()

    append_record(ledger, make)
    return made


def earlier_submission(made: Submission, ledger: Path = LEDGER) -> Submission | None:
    """The same submission, where it was sent before: of that name, with that file. Raises InputError where the name is
    taken by another one, and where nothing can be added to the ledger."""
    raise_unless_writable(ledger)
    found = next((found for found in course(ledger) if found.name == made.name), None)
    if found is not None and (found.reference is None or found.submission_sha256 != made.submission_sha256):
        raise InputError(_taken(made.name, ledger))
    return found


def _taken(name: str, ledger: Path) -> str:
    return f"{ledger} has a submission {name} already; take another name, or add scores to that one"


def record_scores(
    name: str, *, public: float | None = None, private: float | None = None, ledger: Path = LEDGER
) -> Submission:
    """Add scores that became known later; returns the submission with them.

    Raises InputError for an unknown name, no score at all, a score outside 0..1, or a damaged ledger.
    """
    scores = {
        kind: score
        for kind, score in checked_scores({"public": public, "private": private}).items()
        if score is not None
    }
    if not scores:
        raise InputError("there is no score to record: give a public or a private one")

    def make(records: list[Record]) -> Record:
        known = submissions_by_name(records, ledger)
        if name not in known:
            names = ", ".join(known) or "none yet"
            raise InputError(f"{ledger} has no submission {name}; it has {names}")
        return scores_line(name, scores)

    append_record(ledger, make)
    return next(found for found in course(ledger) if found.name == name)


def course(ledger: Path = LEDGER) -> list[Submission]:
    """All submissions in the order in which they were made, each with its latest scores.

    By their times; where one has none, in the order of the file.
    """
    made = list(submissions_by_name(read_ledger(ledger), ledger).values())
    times = [moment_of(found) for found in made]
    known = [time for time in times if time is not None]
    return [made[row] for row in sorted(range(len(made)), key=known.__getitem__)] if len(known) == len(made) else made


def existing_course(ledger: Path = LEDGER) -> list[Submission]:
    """As `course`, of a leaderboard that somebody began. Raises InputError where it isn't there."""
    if not ledger.exists():
        raise InputError(f"{missing(ledger, 'file')}; `sever submit` and `sever leaderboard add` begin a leaderboard")
    return course(ledger)


def moment_of(made: Submission) -> datetime | None:
    """When it was made, where that is known."""
    return None if made.time is None else datetime.fromisoformat(made.time)


def fingerprint_evidence(evidence: Evidence) -> str:
    """SHA-256 over the small files of a blend or cross-validation; the same folder copied elsewhere has the same."""
    digest = hashlib.sha256()
    for name in FINGERPRINTED:
        file = evidence.folder / name
        if file.is_file():
            digest.update(f"{name} {_hash_file(file)}\n".encode())
    return digest.hexdigest()


def submissions_by_name(records: list[Record], ledger: Path) -> dict[str, Submission]:
    """By name. Raises InputError for a damaged line, and for scores of a submission that no line above names."""
    found: dict[str, Submission] = {}
    for number, line in enumerate(parse_lines(records, ledger), start=1):
        if isinstance(line, SubmissionRecord):
            found[line.name] = Submission.of(line)
        elif isinstance(line, ScoredRecord):
            if line.name not in found:
                raise InputError(
                    f"{ledger}, line {number} has scores of {line.name}, but no line above is a submission of that "
                    f"name; {line.what_to_do}"
                )
            found[line.name] = replace(
                found[line.name], **line.model_dump(include=line.model_fields_set & set(SCORE_KINDS))
            )
    return found


def scores_line(name: str, scores: Mapping[str, float | None]) -> Record:
    """A line of the ledger: scores of a submission that became known now."""
    line = ScoredRecord.model_validate({"name": name, "time": now(), **scores}).as_json()
    return {key: value for key, value in line.items() if key not in SCORE_KINDS or key in scores}


def checked_scores(scores: Mapping[str, float | None]) -> dict[str, float | None]:
    for kind, score in scores.items():
        if score is not None and not 0 <= score <= 1:
            raise InputError(f"a {kind} score is between 0 and 1; given {score}")
    return dict(scores)


def _hash_file(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise InputError(unreadable(path, error)) from error


def _git_state() -> tuple[str | None, bool | None]:
    """The commit of the folder that we stand in, and whether tracked files differ from it; None outside git."""
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return (commit.strip(), None if changes is None else bool(changes.strip())) if commit else (None, None)


def _git(*arguments: str) -> str | None:
    """What git says; None where there is no git or no repository with a commit."""
    command = ["git", "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
