"""A file, or a kernel's output, to a competition, and its score back; knows not what the file says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sever.deliver.kaggle.client import Kaggle
from sever.deliver.kaggle.download import ShowProgress
from sever.deliver.kaggle.upload import put
from sever.errors import InputError

# Of twenty each: nobody submits more often between two commands.
MOST_PAGES = 50


@dataclass(frozen=True)
class Score:
    """What Kaggle says of a submission; a score is None while (or where) it isn't shown."""

    ref: int
    status: str  # pending, complete or error
    public: float | None
    private: float | None
    error: str

    @property
    def pending(self) -> bool:
        return self.status == "pending"


@dataclass(frozen=True)
class KernelVersion:
    """One version of a kernel: a code competition takes what it wrote, and runs it again on the hidden images."""

    owner: str
    slug: str
    version: int

    @staticmethod
    def parse(text: str) -> KernelVersion:
        """From OWNER/NAME/VERSION. Raises InputError."""
        parts = text.split("/")
        if len(parts) != 3 or not all(parts) or not parts[2].isdigit():
            raise InputError(f"--kernel {text} is not OWNER/NAME/VERSION, as `sever kernel --push` prints it")
        return KernelVersion(parts[0], parts[1], int(parts[2]))

    def __str__(self) -> str:
        return f"{self.owner}/{self.slug}/{self.version}"


def rules_hints(competition: str) -> dict[int, str]:
    """What 403 and 404 mean of a competition."""
    return {
        403: f"this account has not accepted the rules of {competition} (403); open "
        f"https://www.kaggle.com/competitions/{competition}/rules, accept them, and run the same command again",
        404: f"there is no competition {competition!r} on Kaggle (404); its name is the last part of its address",
    }


@dataclass(frozen=True)
class ListedSubmission:
    """A submission as Kaggle lists it; `owner` is "" where the list does not name who sent it."""

    number: int
    file_name: str
    message: str
    owner: str


def newest_submission(kaggle: Kaggle, competition: str) -> int:
    """The number of the newest submission to a competition, 0 where there is none."""
    listed, _ = _page(kaggle, competition, None)
    return max((found.number for found in listed), default=0)


def newer_submissions(kaggle: Kaggle, competition: str, number: int) -> list[ListedSubmission]:
    """The submissions with a higher number; Kaggle lists the newest first, and numbers them upwards."""
    found: list[ListedSubmission] = []
    token: str | None = None
    for _ in range(MOST_PAGES):
        listed, token = _page(kaggle, competition, token)
        found += [each for each in listed if each.number > number]
        if not token or not listed or min(each.number for each in listed) <= number:
            break
    return found


def _page(kaggle: Kaggle, competition: str, token: str | None) -> tuple[list[ListedSubmission], str | None]:
    """One page of Kaggle's list, and what asks for the next one."""
    from kagglesdk.competitions.types.competition_api_service import ApiListSubmissionsRequest

    request = ApiListSubmissionsRequest()
    request.competition_name = competition
    if token is not None:
        request.page_token = token
    ask = kaggle.client.competitions.competition_api_client.list_submissions
    what = f"cannot list the submissions to {competition}"
    answer = kaggle.call(what, lambda: ask(request), rules_hints(competition))
    listed = [
        ListedSubmission(int(each.ref), each.file_name or "", each.description or "", each.submitted_by or "")
        for each in answer.submissions or ()
        if each is not None
    ]
    return listed, answer.next_page_token or None


def send_file(
    kaggle: Kaggle, competition: str, path: Path, message: str, progress: ShowProgress, announce: Callable[[], None]
) -> int:
    """Submit a file; returns the submission's number. Never sent twice by itself: each one counts for the day.

    `announce` is called when the file is there, before it becomes a submission.
    """
    from kagglesdk.competitions.types import competition_api_service as types

    api, what, hints = (
        kaggle.client.competitions.competition_api_client,
        f"cannot submit {path}",
        rules_hints(competition),
    )
    start = types.ApiStartSubmissionUploadRequest()
    start.competition_name, start.file_name = competition, path.name
    start.content_length, start.last_modified_epoch_seconds = path.stat().st_size, int(path.stat().st_mtime)
    upload = kaggle.call(what, lambda: api.start_submission_upload(start), hints)
    put(kaggle, path, upload.create_url, progress)
    request = types.ApiCreateSubmissionRequest()
    request.competition_name, request.blob_file_tokens = competition, upload.token
    request.submission_description = message
    announce()
    return _number(what, kaggle.call(what, lambda: api.create_submission(request), hints, repeatable=False))


def send_kernel(kaggle: Kaggle, competition: str, kernel: KernelVersion, file_name: str, message: str) -> int:
    """Submit what a version of a kernel wrote as `file_name`; returns the submission's number."""
    from kagglesdk.competitions.types.competition_api_service import ApiCreateCodeSubmissionRequest

    request = ApiCreateCodeSubmissionRequest()
    request.competition_name, request.file_name, request.submission_description = competition, file_name, message
    request.kernel_owner, request.kernel_slug, request.kernel_version = kernel.owner, kernel.slug, kernel.version
    send = kaggle.client.competitions.competition_api_client.create_code_submission
    what = f"cannot submit kernel {kernel}"
    return _number(what, kaggle.call(what, lambda: send(request), rules_hints(competition), repeatable=False))


def ask_score(kaggle: Kaggle, ref: int) -> Score:
    from kagglesdk.competitions.types.competition_api_service import ApiGetSubmissionRequest

    request = ApiGetSubmissionRequest()
    request.ref = ref
    ask = kaggle.client.competitions.competition_api_client.get_submission
    found = kaggle.call(f"cannot ask for the score of submission {ref}", lambda: ask(request))
    status = str(found.status.name).lower()
    return Score(ref, status, _score(found.public_score), _score(found.private_score), found.error_description or "")


def wait_for_score(kaggle: Kaggle, ref: int, seconds: float, info: Callable[[str], None], every: float = 15.0) -> Score:
    """Ask until there is a score, or an error, or the time is over (then the score is still pending)."""
    start, told = kaggle.patience.clock(), 0.0
    while True:
        score, waited = ask_score(kaggle, ref), kaggle.patience.clock() - start
        if not score.pending or waited >= seconds:
            return score
        if waited - told >= 60:
            info(f"submission {ref}: pending for {waited / 60:.0f} minutes")
            told = waited
        kaggle.patience.sleep(every)


def _number(what: str, response: Any) -> int:
    if not response.ref:
        raise InputError(f"{what}: Kaggle says: {response.message or 'nothing'}")
    return int(response.ref)


def _score(text: str | None) -> float | None:
    """Kaggle sends scores as text, "" where there is none."""
    try:
        return float(text) if text else None
    except ValueError:
        return None
