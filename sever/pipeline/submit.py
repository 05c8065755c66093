"""`sever submit`: check a submission, send it, wait for its score, and keep both in the leaderboard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sever.config import DataSettings
from sever.data.layouts import read_table
from sever.deliver.kaggle.check import Checked, check_submission
from sever.deliver.kaggle.client import Kaggle, sign_in
from sever.deliver.kaggle.patience import Patience
from sever.deliver.kaggle.submit import KernelVersion, Score, send_file, send_kernel, wait_for_score
from sever.errors import InputError
from sever.pipeline.leaderboard import LEDGER, record_scores, record_submission
from sever.pipeline.progress import meter, tell

SAMPLE = "sample_submission.csv"


@dataclass(frozen=True)
class Entry:
    """What is submitted: the file, and for a code competition the kernel that wrote it as `output_name`."""

    file: Path
    competition: str
    name: str
    message: str = ""
    kernel: KernelVersion | None = None
    blend: Path | None = None


@dataclass(frozen=True)
class Submitted:
    """A submission that Kaggle has, with its score so far."""

    entry: Entry
    score: Score

    def __str__(self) -> str:
        said = f"{self.entry.name}: submission {self.score.ref}, {self.score.status}"
        scores = [("public", self.score.public), ("private", self.score.private)]
        return said + "".join(f", {kind} {value:.5f}" for kind, value in scores if value is not None)


def check_file(file: Path, competition: str, sample: Path | None, data: Path | None, overlap_allowed: bool) -> Checked:
    """Compare a file with the competition's sample, which `sever download` puts into data/raw/COMPETITION.

    `data`: the competition's folder; its test images tell where run lengths must end. Raises InputError.
    """
    root = data or Path("data") / "raw" / competition
    sample = sample or root / SAMPLE
    if not sample.is_file():
        raise InputError(f"there is no sample to compare {file} with ({sample}); give --sample, or `sever download` it")
    pixels = _pixels(root)
    if pixels is None:
        tell(f"{root} has no test images: whether run lengths end within their image is not checked")
    return check_submission(file, sample, pixels, overlap_allowed)


def submit(entry: Entry, wait_minutes: float, ledger: Path = LEDGER, patience: Patience | None = None) -> Submitted:
    """Send a file that was checked, wait for its score, and record both. Raises InputError.

    It is recorded as soon as Kaggle has it, so that nothing is lost when the wait is cut short.
    """
    with sign_in(patience) as kaggle:
        ref = _send(kaggle, entry)
        message = " ".join(word for word in (entry.message, f"[{entry.competition} {ref}]") if word)
        record_submission(entry.name, entry.file, blend=entry.blend, message=message, ledger=ledger)
        tell(f"submission {ref} is with Kaggle")
        score = wait_for_score(kaggle, ref, 60 * wait_minutes, tell)
    if score.status == "error":
        raise InputError(f"Kaggle could not score submission {ref}: {score.error or 'it does not say why'}")
    if score.public is not None or score.private is not None:
        record_scores(entry.name, public=score.public, private=score.private, ledger=ledger)
    else:
        tell(
            f"submission {ref} has no score yet; note it later with: sever leaderboard score {entry.name} --public ..."
        )
    return Submitted(entry, score)


def default_name(file: Path, now: Callable[[], datetime] = datetime.now) -> str:
    """A name for the leaderboard: the folder that the file is in, and the time."""
    return f"{file.resolve().parent.name}-{now():%Y%m%d-%H%M%S}"


def _send(kaggle: Kaggle, entry: Entry) -> int:
    if entry.kernel is None:
        return send_file(kaggle, entry.competition, entry.file, entry.message, meter)
    return send_kernel(kaggle, entry.competition, entry.kernel, "submission.csv", entry.message)


def _pixels(root: Path) -> dict[str, int] | None:
    """Height times width of every test image; None where they are not there."""
    if not (root / "test_images").is_dir():
        return None
    table, _ = read_table(DataSettings(root=root, num_classes=1, skip_bad=True), "test")
    return table.pixels()
