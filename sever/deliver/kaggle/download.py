"""A file from Kaggle's storage to disk: resumed, and checked by length and checksum; knows not what it holds.

The part that came already lies beside a small JSON file that says of what it is a part; it is gone on with only where
the server still has the same file (its ETag), however long ago it was.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from sever.deliver.kaggle.calls import cut_words, cuts
from sever.deliver.kaggle.client import Kaggle
from sever.deliver.kaggle.patience import PatienceMeter
from sever.deliver.kaggle.sessions import CONNECT_SECONDS, READ_SECONDS
from sever.errors import FULL, InputError
from sever.files import naming, write_json

CHUNK_BYTES = 1 << 18
MIB = 1 << 20
# Shows progress: title, total and what is done already, in MiB.
ShowProgress: TypeAlias = Callable[[str, int, int], AbstractContextManager[PatienceMeter]]


@dataclass(frozen=True)
class Remote:
    """A file in storage: `tag` tells one state of it from another; what the server doesn't say is None."""

    size: int | None
    tag: str | None
    md5: str | None

    @staticmethod
    def of(response: Any) -> Remote:
        headers = response.headers
        size = headers.get("Content-Length")
        plain = headers.get("Content-Encoding", "identity") == "identity"
        known = size and size.isdecimal() and plain
        return Remote(int(size) if known else None, headers.get("ETag"), _md5(headers))


@dataclass(frozen=True)
class DownloadPart:
    """A file on its way: `path` for its bytes, and beside it of which remote file they are."""

    path: Path

    @property
    def about(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def held(self, remote: Remote) -> int:
        """How many bytes of this very remote file are here; 0 where that can't be proven."""
        try:
            same = json.loads(self.about.read_text(encoding="utf-8")) == asdict(remote)
            size = self.path.stat().st_size
        except (OSError, ValueError, RecursionError):
            return 0
        return size if same and remote.tag and remote.size and size <= remote.size else 0

    def start(self, remote: Remote) -> None:
        if self.path.exists() and not self.about.exists():
            raise InputError(
                f"{self.path} exists, but `sever download` did not start it; move it away, or give another -o"
            )
        self.delete()
        write_json(self.about, asdict(remote))
        self.path.touch()

    def delete(self) -> None:
        self.path.unlink(missing_ok=True)
        self.about.unlink(missing_ok=True)


def download(
    kaggle: Kaggle,
    what: str,
    ask: Callable[[], Any],
    part: DownloadPart,
    progress: ShowProgress,
    hints: Mapping[int, str] | None = None,
) -> Remote:
    """Fetch the file that the client's call `ask` leads to into `part`, whole and verified; returns what it is.

    Cut connections are gone on with; only so many in a row that brought nothing are an error. Raises InputError, and
    leaves what came for the next time.
    """
    part.path.parent.mkdir(parents=True, exist_ok=True)
    failures = 0
    while True:
        response = kaggle.call(what, ask, hints)
        remote = Remote.of(response)
        before = part.held(remote)
        _raise_without_room(what, part, remote, before)
        try:
            _receive(kaggle, what, response, remote, part, progress)
            break
        except cuts() as error:
            failures = failures + 1 if part.held(remote) <= before else 0
            if failures >= kaggle.patience.attempts:
                raise InputError(_cut_short(what, part, remote, error)) from None
            kaggle.patience.sleep(kaggle.patience.backoff_seconds(max(failures, 1)))
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise InputError(
                f"{what}: the disk of {part.path.parent} is full; make room and resume with the same command"
            ) from None
        finally:
            response.close()
    _verify(what, part, remote)
    return remote


def _receive(
    kaggle: Kaggle, what: str, response: Any, remote: Remote, part: DownloadPart, progress: ShowProgress
) -> None:
    """Append what is missing; raises one of `cuts()` when the connection ends before the file does."""
    held = part.held(remote)
    if held == remote.size and remote.size:
        return
    if held:
        response, held = _go_on(kaggle, what, response, remote, held)
    if not held:
        part.start(remote)
    title, total = f"{what.removeprefix('cannot ')} (MiB)", _mib(remote.size or 0)
    try:
        with (
            naming(part.path),
            progress(title, total, min(held // MIB, total)) as meter,
            part.path.open("ab") as file,
        ):
            for chunk in response.iter_content(CHUNK_BYTES):
                file.write(chunk)
                before, held = held, held + len(chunk)
                if moved := held // MIB - before // MIB:
                    meter.advance(moved)
            meter.advance(total - held // MIB)
    finally:
        response.close()


def _go_on(kaggle: Kaggle, what: str, response: Any, remote: Remote, held: int) -> tuple[Any, int]:
    """An answer that goes on after the `held` bytes, or one from the start where the server won't."""
    import requests

    response.close()
    headers = {"Range": f"bytes={held}-", "If-Range": str(remote.tag), "Accept-Encoding": "identity"}
    rest = _ask_again(kaggle, response, headers)
    expected = f"bytes {held}-"
    if rest.status_code == 206 and rest.headers.get("Content-Range", "").startswith(expected):
        return rest, held
    if rest.status_code == 200:
        return rest, 0
    rest.close()
    raise requests.exceptions.ConnectionError(f"storage answered {rest.status_code}")


def _ask_again(kaggle: Kaggle, response: Any, headers: Mapping[str, str]) -> Any:
    """The request that was answered, with further headers: storage's, where the call led there, or else the call."""
    import requests

    if response.request.method == "GET":
        return requests.get(response.url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS))
    call = response.request.copy()
    call.headers.update(headers)
    return kaggle.client.http_client()._session.send(call, stream=True)


def _verify(what: str, part: DownloadPart, remote: Remote) -> None:
    size = part.path.stat().st_size
    if remote.size is not None and size != remote.size:
        part.delete()
        raise InputError(f"{what}: {size} bytes came instead of {remote.size}; run the same command again")
    if remote.md5 is None:
        return
    with part.path.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != remote.md5:
        part.delete()
        raise InputError(f"{what}: what came has another checksum than Kaggle's file; run the same command again")


def _raise_without_room(what: str, part: DownloadPart, remote: Remote, held: int) -> None:
    free = shutil.disk_usage(part.path.parent).free
    needed = (remote.size or 0) - held
    if needed > free:
        raise InputError(
            f"{what}: the disk of {part.path.parent} is full: {_mib(needed)} MiB are needed, {free // MIB} MiB are free"
        )


def _cut_short(what: str, part: DownloadPart, remote: Remote, error: BaseException) -> str:
    came = f"{part.held(remote)} of {remote.size if remote.size is not None else 'unknown'} bytes came"
    return f"{what}: {cut_words(error)} again and again ({came}); resume with the same command"


def _md5(headers: Mapping[str, str]) -> str | None:
    """Storage says `x-goog-hash: crc32c=...,md5=BASE64`, perhaps without an md5."""
    for word in headers.get("x-goog-hash", "").replace(",", " ").split():
        if word.startswith("md5="):
            return base64.b64decode(word.removeprefix("md5=")).hex()
    return None


def _mib(size: int) -> int:
    return -(-size // MIB)
