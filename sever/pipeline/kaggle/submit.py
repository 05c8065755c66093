"""`sever submit`: check a submission, send it, wait for its score, and keep both in the leaderboard."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from sever.config import DataSettings
from sever.data.layouts import read_table
from sever.data.table import ImageTable
from sever.deliver.kaggle.check import CheckedSubmission, check_submission
from sever.deliver.kaggle.client import Kaggle, sign_in
from sever.deliver.kaggle.patience import Patience
from sever.deliver.kaggle.submit import KernelVersion, Score, ask_score, send_file, send_kernel, wait_for_score
from sever.errors import InputError
from sever.pipeline.leaderboard import (
    LEDGER,
    Submission,
    course,
    draft_submission,
    earlier_submission,
    record_scores,
    record_submission,
)
from sever.progress import meter, tell

SAMPLE = "sample_submission.csv"


@dataclass(frozen=True)
class SubmissionEntry:
    """What is submitted: the file, and for a code competition the kernel that wrote it as `output_name`."""

    file: Path
    competition: str
    name: str
    message: str = ""
    kernel: KernelVersion | None = None
    blend: Path | None = None


@dataclass(frozen=True)
class Reference:
    """How Kaggle knows a submission: COMPETITION/NUMBER."""

    competition: str
    number: int

    @staticmethod
    def parse(text: str) -> Reference:
        competition, _, number = text.rpartition("/")
        if not (competition and re.fullmatch(r"[0-9]{1,18}", number)):
            raise InputError(f"{text!r} is no reference of a submission, COMPETITION/NUMBER; the ledger is damaged")
        return Reference(competition, int(number))

    def __str__(self) -> str:
        return f"{self.competition}/{self.number}"


@dataclass(frozen=True)
class Submitted:
    """A submission that Kaggle has, with its score so far."""

    entry: SubmissionEntry
    score: Score

    def __str__(self) -> str:
        said = f"{self.entry.name}: submission {self.score.ref}, {self.score.status}"
        scores = [("public", self.score.public), ("private", self.score.private)]
        return said + "".join(f", {kind} {value:.5f}" for kind, value in scores if value is not None)


def check_file(
    file: Path, competition: str, sample: Path | None, data: Path | None, overlap_allowed: bool
) -> CheckedSubmission:
    """Compare a file with the competition's sample, which `sever download` puts into data/raw/COMPETITION.

    `data`: the competition's folder; its test images tell where run lengths must end. Raises InputError.
    """
    root = data or Path("data") / "raw" / competition
    sample = sample or root / SAMPLE
    if not sample.is_file():
        raise InputError(f"there is no sample to compare {file} with ({sample}); give --sample, or `sever download` it")
    images = _test_images(root)
    if images is None:
        tell(f"{root} has no test images, so run lengths are not checked against the image size")
        return check_submission(file, sample, None, overlap_allowed)
    table, are_classes_known = images
    return check_submission(
        file, sample, table.pixels(), overlap_allowed, table.num_classes if are_classes_known else None
    )


def submit(
    entry: SubmissionEntry, wait_minutes: float, ledger: Path = LEDGER, patience: Patience | None = None
) -> Submitted:
    """Send a file that was checked, wait for its score, and record both. Raises InputError.

    It is recorded as soon as Kaggle has it, so that nothing is lost when the wait is cut short: the same entry once
    more is not sent again, but waited for.
    """
    draft = draft_submission(entry.name, entry.file, blend=entry.blend, message=entry.message)
    earlier = earlier_submission(draft, ledger)
    with sign_in(patience) as kaggle:
        if earlier is None:
            reference = Reference(entry.competition, _send(kaggle, entry))
            record_submission(replace(draft, reference=str(reference)), ledger)
            tell(f"submission {reference.number} is with Kaggle")
        else:
            reference = Reference.parse(str(earlier.reference))
            tell(f"{entry.name} was sent before ({reference}); not sent again; waiting for its score")
        score = wait_for_score(kaggle, reference.number, 60 * wait_minutes, tell)
    if score.status == "error":
        raise InputError(f"Kaggle could not score submission {score.ref}: {score.error or 'it does not say why'}")
    if not _record(entry.name, score, ledger):
        tell(f"submission {score.ref} has no score yet; fetch it later with: sever leaderboard fetch {entry.name}")
    return Submitted(entry, score)


def fetch_scores(
    names: Sequence[str] = (), ledger: Path = LEDGER, patience: Patience | None = None
) -> list[Submission]:
    """Ask Kaggle for the scores of these submissions, or of all that lack one, and record them; returns the course.

    Raises InputError for a name that the ledger lacks, or that was not sent by `sever submit`.
    """
    made = {found.name: found for found in course(ledger)}
    for name in names:
        if name not in made or made[name].reference is None:
            sent = ", ".join(found.name for found in made.values() if found.reference is not None)
            raise InputError(f"{ledger} has no submission {name} that `sever submit` sent; it has {sent or 'none'}")
    lacking = [found for found in made.values() if found.reference is not None and found.private is None]
    wanted = [made[name] for name in names] or lacking
    with sign_in(patience) as kaggle:
        for found in wanted:
            score = ask_score(kaggle, Reference.parse(str(found.reference)).number)
            if score.status == "error":
                tell(f"{found.name}: Kaggle could not score it: {score.error or 'it does not say why'}")
            elif not _record(found.name, score, ledger):
                tell(f"{found.name}: no score yet")
    return course(ledger)


def _record(name: str, score: Score, ledger: Path) -> bool:
    """Keep the scores that are known; False where none is."""
    known = [value for value in (score.public, score.private) if value is not None]
    if not known:
        return False
    if not all(0 <= value <= 1 for value in known):
        tell(f"{name} scores {known[0]}, which is no mean Dice: it is not kept in {ledger}")
        return True
    record_scores(name, public=score.public, private=score.private, ledger=ledger)
    return True


def default_name(file: Path, now: Callable[[], datetime] = datetime.now) -> str:
    """A name for the leaderboard: the folder that the file is in, and the time."""
    return f"{file.resolve().parent.name}-{now():%Y%m%d-%H%M%S}"


def _send(kaggle: Kaggle, entry: SubmissionEntry) -> int:
    if entry.kernel is None:
        return send_file(kaggle, entry.competition, entry.file, entry.message, meter)
    return send_kernel(kaggle, entry.competition, entry.kernel, "submission.csv", entry.message)


def _test_images(root: Path) -> tuple[ImageTable, bool] | None:
    """The test images, and whether the data tells how many classes there are; None where there are no images."""
    if not (root / "test_images").is_dir():
        return None
    try:
        return read_table(DataSettings(root=root, skip_bad=True), "test", thorough=False)[0], True
    except InputError as error:  # or the images themselves are at fault: then this raises again
        table, _ = read_table(DataSettings(root=root, skip_bad=True, num_classes=1), "test", thorough=False)
        tell(f"the classes are not checked: {error}")
        return table, False
