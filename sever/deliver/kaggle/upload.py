"""Files to Kaggle's storage, and a data set of them; knows not what the files hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sever.deliver.kaggle.calls import CallFault, cut_words, cuts
from sever.deliver.kaggle.client import Kaggle
from sever.deliver.kaggle.download import MIB, ShowProgress
from sever.deliver.kaggle.patience import TOO_MANY, TRANSIENT, PatienceMeter, asked_seconds
from sever.deliver.kaggle.sessions import CONNECT_SECONDS, READ_SECONDS
from sever.errors import InputError

# Kaggle's own limits on names of data sets and kernels.
SHORTEST_NAME, LONGEST_NAME = 6, 50
_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_INCOMPLETE = 308


@dataclass(frozen=True)
class DatasetPage:
    """What Kaggle shows of a data set. `slug` is its name in the address, `licence` Kaggle's name of it."""

    owner: str
    slug: str
    title: str
    licence: str
    public: bool = False
    notes: str = ""

    def __post_init__(self) -> None:
        raise_unless_slug("data set", self.slug)
        if not SHORTEST_NAME <= len(self.title) <= LONGEST_NAME:
            raise InputError(
                f"the title {self.title!r} has {len(self.title)} characters; Kaggle wants {SHORTEST_NAME} to "
                f"{LONGEST_NAME}: give another --title"
            )

    @property
    def ref(self) -> str:
        return f"{self.owner}/{self.slug}"


@dataclass(frozen=True)
class Published:
    """A data set that Kaggle has: `created` is False for a new version of one that was there."""

    ref: str
    url: str
    created: bool


def slug_of(title: str) -> str:
    """The name in the address that Kaggle makes of a title: small letters and digits, all else a hyphen.

    Raises InputError for other letters than a-z: how Kaggle writes them in an address is not known here.
    """
    if not title.isascii():
        raise InputError(f"the title {title!r} has letters that an address can't hold; write it with a-z and digits")
    return "-".join(re.findall(r"[a-z0-9]+", title.lower()))


def raise_unless_slug(kind: str, slug: str) -> None:
    if not (_SLUG.fullmatch(slug) and SHORTEST_NAME <= len(slug) <= LONGEST_NAME):
        raise InputError(
            f"{slug!r} can't be the name of a {kind}; Kaggle wants {SHORTEST_NAME} to {LONGEST_NAME} of a-z, 0-9 and "
            "single hyphens"
        )


def publish(kaggle: Kaggle, folder: Path, page: DatasetPage, progress: ShowProgress) -> Published:
    """Make the files of `folder` (no folders in it) a data set, or a new version of the one with this name.

    Raises InputError when any file can't be sent: a data set never lacks one. It may take Kaggle some minutes until
    the data set can be used (`wait_until_ready`).
    """
    files = sorted(folder.iterdir())
    assert all(path.is_file() for path in files), "folders go as archives"
    exists = dataset_status(kaggle, page.ref) is not None
    tokens = [_send(kaggle, path, progress) for path in files]
    what = f"cannot {'update' if exists else 'create'} data set {page.ref}"
    response = kaggle.call(what, lambda: _save(kaggle, page, tokens, exists), repeatable=False)
    if response.error or response.status.lower() == "error":
        raise InputError(f"{what}: Kaggle says: {kaggle.redact(response.error or 'error')}")
    return Published(response.ref.strip("/").removeprefix("datasets/") or page.ref, response.url, not exists)


def dataset_status(kaggle: Kaggle, ref: str) -> str | None:
    """How far Kaggle has got with a data set, in small letters; None where there is none that this account can see."""
    from kagglesdk.datasets.types.dataset_api_service import ApiGetDatasetStatusRequest
    from requests.exceptions import HTTPError

    request = ApiGetDatasetStatusRequest()
    request.owner_slug, request.dataset_slug = ref.split("/")

    def ask() -> str | None:
        try:
            response = kaggle.client.datasets.dataset_api_client.get_dataset_status(request)
        except HTTPError as error:
            if CallFault.of(error.response).status in (403, 404):  # Kaggle says 403 of what does not exist, too
                return None
            raise
        return str(response.status.name).lower()

    return kaggle.call(f"cannot look for data set {ref}", ask)


def wait_until_ready(
    kaggle: Kaggle, ref: str, seconds: float, info: Callable[[str], None], every: float = 10.0
) -> bool:
    """Wait until kernels can use a data set; False when that takes longer. Raises InputError when Kaggle gave up."""
    end = kaggle.patience.clock() + seconds
    told = ""
    while True:
        status = dataset_status(kaggle, ref) or "not there yet"
        if status == "ready":
            return True
        if status in ("failed", "deleted"):
            raise InputError(
                f"Kaggle could not make a data set of {ref} ({status}); look at the site, and upload again"
            )
        if status != told:
            info(f"data set {ref}: {status.replace('_', ' ')}")
            told = status
        if kaggle.patience.clock() >= end:
            return False
        kaggle.patience.sleep(every)


def _save(kaggle: Kaggle, page: DatasetPage, tokens: list[str], exists: bool) -> Any:
    from kagglesdk.datasets.types import dataset_api_service as types

    def new_file(token: str) -> Any:
        file = types.ApiDatasetNewFile()
        file.token = token
        return file

    files, api = [new_file(token) for token in tokens], kaggle.client.datasets.dataset_api_client
    if exists:
        body = types.ApiCreateDatasetVersionRequestBody()
        body.version_notes, body.files = page.notes, files
        version = types.ApiCreateDatasetVersionRequest()
        version.owner_slug, version.dataset_slug, version.body = page.owner, page.slug, body
        return api.create_dataset_version(version)
    request = types.ApiCreateDatasetRequest()
    request.owner_slug, request.slug, request.title = page.owner, page.slug, page.title
    request.license_name, request.is_private, request.files = page.licence, not page.public, files
    return api.create_dataset(request)


def _send(kaggle: Kaggle, path: Path, progress: ShowProgress) -> str:
    """Upload one file; returns the token by which a data set names it."""
    from kagglesdk.blobs.types.blob_api_service import ApiBlobType, ApiStartBlobUploadRequest

    request = ApiStartBlobUploadRequest()
    request.type, request.name = ApiBlobType.DATASET, path.name
    request.content_length = path.stat().st_size
    request.last_modified_epoch_seconds = int(path.stat().st_mtime)
    start = kaggle.client.blobs.blob_api_client.start_blob_upload
    response = kaggle.call(f"cannot upload {path.name}", lambda: start(request))
    put(kaggle, path, response.create_url, progress)
    return str(response.token)


def put(kaggle: Kaggle, path: Path, url: str, progress: ShowProgress) -> None:
    """Send a file to the address that Kaggle gave for it; after a cut, go on where storage says that it ended.

    The protocol is that of resumable uploads: PUT with `Content-Range: bytes */SIZE` asks how much is there, and 308
    answers with `Range: bytes=0-LAST`. Raises InputError; the address, which is as good as a password, is not told.
    """
    what, size = f"cannot upload {path.name}", path.stat().st_size
    sent = failures = 0
    total = -(-size // MIB)
    with progress(f"upload {path.name} (MiB)", total, 0) as meter, path.open("rb") as file:
        mark = _Mark(meter)
        while stop := _attempt(kaggle, what, url, _File(file, size, mark), ask=failures > 0):
            failures = failures + 1 if stop.sent <= sent else 1
            sent = stop.sent
            if failures >= kaggle.patience.attempts:
                raise InputError(f"{what}: {stop.reason}, again and again; run the same command again")
            kaggle.patience.sleep(stop.wait_seconds or kaggle.patience.backoff_seconds(failures))
        mark.reach(total)


@dataclass(frozen=True)
class _Stop:
    """Why an upload is not done yet; `sent` is how many bytes storage had before the attempt."""

    sent: int
    reason: str
    wait_seconds: float = 0.0


def _attempt(kaggle: Kaggle, what: str, url: str, source: _File, ask: bool) -> _Stop | None:
    """Send what storage doesn't have yet, which it is asked for unless this is the first time; None when done."""
    sent = 0
    try:
        if ask:
            sent = _held(kaggle, what, url, source.size)
            if sent == source.size:
                return None
        response = _put_rest(url, source, sent)
    except cuts() as error:
        return _Stop(sent, cut_words(error))
    wait = _wait_seconds(kaggle, what, response)
    return None if wait is None else _Stop(sent, f"storage answers {response.status_code}", wait)


def _put_rest(url: str, source: _File, start: int) -> Any:
    import requests

    size, body = source.size, _Rest(source, start)
    headers = {"Content-Range": f"bytes {start}-{size - 1}/{size}"} if start else {}
    timeout = (CONNECT_SECONDS, READ_SECONDS)
    return requests.put(url, data=body if size else b"", headers=headers, timeout=timeout, allow_redirects=False)


def _held(kaggle: Kaggle, what: str, url: str, size: int) -> int:
    """How many bytes storage has."""
    import requests

    headers = {"Content-Range": f"bytes */{size}", "Content-Length": "0"}
    response = requests.put(url, headers=headers, timeout=(CONNECT_SECONDS, READ_SECONDS), allow_redirects=False)
    if response.status_code == _INCOMPLETE:
        last = re.fullmatch(r"bytes=0-(\d+)", response.headers.get("Range", ""))
        return int(last[1]) + 1 if last else 0
    if response.status_code in TRANSIENT or response.status_code == TOO_MANY:
        raise requests.exceptions.ConnectionError(f"storage answered {response.status_code}")
    kaggle.check(what, response, _UPLOAD_HINTS)
    return size


_UPLOAD_HINTS = {status: f"the upload has expired ({status}); run the same command again" for status in (403, 404, 410)}


def _wait_seconds(kaggle: Kaggle, what: str, response: Any) -> float | None:
    """None when storage has the whole file, else how long to wait before going on (0: as we like)."""
    status = response.status_code
    if status in TRANSIENT or status in (TOO_MANY, _INCOMPLETE):
        return min(asked_seconds(response.headers) or 0.0, kaggle.patience.longest_asked_seconds)
    kaggle.check(what, response, _UPLOAD_HINTS)
    return None


class _Mark:
    """The furthest that a file has come, told to the meter; what is sent again does not count twice."""

    def __init__(self, meter: PatienceMeter) -> None:
        self.meter, self.reached = meter, 0

    def reach(self, mib: int) -> None:
        if mib > self.reached:
            self.meter.advance(mib - self.reached)
            self.reached = mib


@dataclass(frozen=True)
class _File:
    file: BinaryIO
    size: int
    mark: _Mark


class _Rest:
    """A file from `start` on, as `requests` reads it; tells how far it is."""

    def __init__(self, source: _File, start: int) -> None:
        self.source, self.at = source, start
        source.file.seek(start)

    def __len__(self) -> int:
        return self.source.size - self.at

    def read(self, count: int = -1) -> bytes:
        chunk = self.source.file.read(count)
        self.at += len(chunk)
        self.source.mark.reach(self.at // MIB)
        return chunk
