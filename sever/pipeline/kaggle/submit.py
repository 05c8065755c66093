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
from sever.near_names import missing
from sever.pipeline.kaggle.sending import announce, kernels_by_name, one_sender, pending, settle
from sever.pipeline.leaderboard import (
    LEDGER,
    Submission,
    course,
    draft_submission,
    earlier_submission,
    existing_course,
    record_scores,
    record_submission,
)
from sever.progress import info, meter
from sever.store.ledger import raise_unless_writable

SAMPLE, KERNEL_OUTPUT = "sample_submission.csv", "submission.csv"


@dataclass(frozen=True)
class SubmissionEntry:
    """What is submitted: the file, and for a code competition the kernel that wrote it as `output_name`.

    Without a name it gets one of the folder and the time, and the same file is not sent again.
    """

    file: Path
    competition: str
    name: str | None = None
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
            raise InputError(f"{text!r} does not name a submission as COMPETITION/NUMBER; the ledger is damaged")
        return Reference(competition, int(number))

    def __str__(self) -> str:
        return f"{self.competition}/{self.number}"


@dataclass(frozen=True)
class Submitted:
    """A submission that Kaggle has, with its score so far."""

    name: str
    score: Score

    def __str__(self) -> str:
        said = f"{self.name}: submission {self.score.ref}, {self.score.status}"
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
        raise InputError(f"{missing(sample, 'sample')} to compare {file} with; give --sample, or `sever download` it")
    images = _test_images(root)
    if images is None:
        info(f"{root} has no test images, so run lengths are not checked against the image size")
        return check_submission(file, sample, None, overlap_allowed)
    table, are_classes_known = images
    return check_submission(
        file, sample, table.pixels(), overlap_allowed, table.num_classes if are_classes_known else None
    )


def submit(
    entry: SubmissionEntry, wait_minutes: float, ledger: Path = LEDGER, patience: Patience | None = None
) -> Submitted:
    """Send a file that was checked, wait for its score, and record both. Raises InputError.

    It is announced before it is sent, and recorded as soon as Kaggle has it, so that nothing is lost however the
    command ends: the same entry once more is looked for at Kaggle, not sent again, and waited for.
    """
    draft = draft_submission(
        default_name(entry.file) if entry.name is None else entry.name,
        entry.file,
        blend=entry.blend,
        message=entry.message,
    )
    _earlier(entry, draft, ledger)  # what can't be recorded needs no signing in
    with sign_in(patience) as kaggle:
        with one_sender(ledger):
            settle(kaggle, ledger, entry.competition)
            made = _earlier(entry, draft, ledger) or _send(kaggle, entry, draft, ledger)
        score = wait_for_score(kaggle, Reference.parse(str(made.reference)).number, 60 * wait_minutes, info)
    if score.status == "error":
        raise InputError(f"Kaggle could not score submission {score.ref}: {score.error or 'it does not say why'}")
    if not _record(made.name, score, ledger):
        info(f"submission {score.ref} has no score yet; fetch it later with: sever leaderboard fetch {made.name}")
    return Submitted(made.name, score)


def _earlier(entry: SubmissionEntry, draft: Submission, ledger: Path) -> Submission | None:
    """The same submission, where Kaggle has it. Raises InputError where the name is another one's."""
    if entry.name is not None:
        return earlier_submission(draft, ledger)
    raise_unless_writable(ledger)
    kernels, kernel = kernels_by_name(ledger), None if entry.kernel is None else str(entry.kernel)
    return next(
        (
            made
            for made in course(ledger)
            if (made.reference or "").startswith(f"{entry.competition}/")
            and made.submission_sha256 == draft.submission_sha256
            and kernels.get(made.name) == kernel
        ),
        None,
    )


def _send(kaggle: Kaggle, entry: SubmissionEntry, draft: Submission, ledger: Path) -> Submission:
    """Announce, send, record."""
    kernel = entry.kernel

    def announced() -> None:
        file_name = entry.file.name if kernel is None else KERNEL_OUTPUT
        announce(kaggle, draft, entry.competition, file_name, None if kernel is None else str(kernel), ledger)

    if kernel is None:
        number = send_file(kaggle, entry.competition, entry.file, entry.message, meter, announced)
    else:
        announced()
        number = send_kernel(kaggle, entry.competition, kernel, KERNEL_OUTPUT, entry.message)
    made = replace(draft, reference=str(Reference(entry.competition, number)))
    record_submission(made, ledger)
    info(f"submission {number} is with Kaggle")
    return made


def fetch_scores(
    names: Sequence[str] = (), ledger: Path = LEDGER, patience: Patience | None = None
) -> list[Submission]:
    """Ask Kaggle for the scores of these submissions, or of all that lack one, and record them; returns the course.

    What was announced, and never recorded since `sever submit` was stopped, is looked for first. Raises InputError for
    a name that the ledger lacks, or that was not sent by `sever submit`.
    """
    if not pending(ledger):
        _wanted(names, ledger)  # what can't be asked for needs no signing in
    with sign_in(patience) as kaggle:
        with one_sender(ledger):
            settle(kaggle, ledger)
        for found in _wanted(names, ledger):
            score = ask_score(kaggle, Reference.parse(str(found.reference)).number)
            if score.status == "error":
                info(f"{found.name}: Kaggle could not score it: {score.error or 'it does not say why'}")
            elif not _record(found.name, score, ledger):
                info(f"{found.name}: no score yet")
    return course(ledger)


def _wanted(names: Sequence[str], ledger: Path) -> list[Submission]:
    """These submissions, or all that Kaggle has and that lack a score. Raises InputError."""
    made = {found.name: found for found in existing_course(ledger)}
    for name in names:
        if name not in made or made[name].reference is None:
            sent = ", ".join(found.name for found in made.values() if found.reference is not None)
            raise InputError(f"{ledger} has no submission {name} that `sever submit` sent; it has {sent or 'none'}")
    lacking = [found for found in made.values() if found.reference is not None and found.private is None]
    return [made[name] for name in names] or lacking


def _record(name: str, score: Score, ledger: Path) -> bool:
    """Keep the scores that are known; False where none is."""
    known = [value for value in (score.public, score.private) if value is not None]
    if not known:
        return False
    if not all(0 <= value <= 1 for value in known):
        info(f"{name} scores {known[0]}, which is not a mean Dice, so it is not recorded in {ledger}")
        return True
    record_scores(name, public=score.public, private=score.private, ledger=ledger)
    return True


def default_name(file: Path, now: Callable[[], datetime] = datetime.now) -> str:
    """A name for the leaderboard: the folder that the file is in, and the time."""
    return f"{file.resolve().parent.name}-{now():%Y%m%d-%H%M%S}"


def _test_images(root: Path) -> tuple[ImageTable, bool] | None:
    """The test images, and whether the data tells how many classes there are; None where there are no images."""
    if not (root / "test_images").is_dir():
        return None
    try:
        return read_table(DataSettings(root=root, skip_bad=True), "test", thorough=False)[0], True
    except InputError as error:  # or the images themselves are at fault: then this raises again
        table, _ = read_table(DataSettings(root=root, skip_bad=True, num_classes=1), "test", thorough=False)
        info(f"the classes are not checked: {error}")
        return table, False
