"""A Kaggle of our own on loopback: the client's wire format, storage, and the faults of both. Tests only.

Calls are POST /api/v1/SERVICE/METHOD with JSON; a download answers 302 to storage, which knows ETag, Range and
If-Range; an upload asks for an address first, and PUTs there by the protocol of resumable uploads. Addresses in storage
carry a made-up signature, so that tests can look for it where it must not be.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

import pytest

USER, KEY, TOKEN = "miller", "k3y-of-miller-9f8e7d", "KGAT_token-of-miller-1a2b3c"
SIGNATURE = "SIGNED0123456789abcdef"
SECRETS = (KEY, TOKEN, SIGNATURE, base64.b64encode(f"{USER}:{KEY}".encode()).decode())


@dataclass
class Fault:
    """What goes wrong with a request whose method or path contains `at`, the first `times` times.

    status: an HTTP error in place of the answer. cut: bytes of the body after which the connection ends. longer: bytes
    by which Content-Length exceeds what is sent. headers: of the error. code_in_200: the error comes as JSON with HTTP
    status 200. corrupt: one byte of storage's answer is another. garbage: a good answer, but a web page.
    """

    at: str
    status: int = 0
    times: int = 1
    cut: int | None = None
    longer: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    message: str = ""
    code_in_200: bool = False
    corrupt: bool = False
    garbage: bool = False


@dataclass
class Stored:
    """A file in storage; `name` is part of its address."""

    content: bytes
    with_md5: bool = True
    ranges: bool = True

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.content).hexdigest()}"'


@dataclass
class Upload:
    name: str
    size: int
    content: bytes = b""

    @property
    def done(self) -> bool:
        return len(self.content) >= self.size


@dataclass
class World:
    """What the server knows and has seen."""

    url: str = ""
    competitions: dict[str, Stored] = field(default_factory=dict)
    datasets: dict[str, Stored] = field(default_factory=dict)
    published: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    submissions: list[dict[str, Any]] = field(default_factory=list)
    kernels: list[dict[str, Any]] = field(default_factory=list)
    rules_accepted: bool = True
    direct: bool = False  # downloads are answered with the file itself, not with its address in storage
    # Answers to polls, the last one for ever.
    dataset_states: list[str] = field(default_factory=lambda: ["READY"])
    kernel_states: list[tuple[str, str]] = field(default_factory=lambda: [("COMPLETE", "")])
    scores: list[dict[str, Any]] = field(default_factory=lambda: [{"status": "COMPLETE", "publicScore": "0.91817"}])
    faults: list[Fault] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)

    def count(self, part: str) -> int:
        return sum(part in line for line in self.log)

    def fault(self, where: str) -> Fault | None:
        for fault in self.faults:
            if fault.at in where and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def files(self, version: dict[str, Any]) -> dict[str, bytes]:
        """The files of one published version, as they arrived."""
        uploads = [self.uploads[file["token"]] for file in version["files"]]
        return {upload.name: upload.content for upload in uploads}


def _next(states: list[Any]) -> Any:
    return states.pop(0) if len(states) > 1 else states[0]


class Refusal(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world: World

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        content = self.rfile.read(length)
        if len(content) < length:  # a client that was killed while it spoke
            self.close_connection = True
            return
        body = json.loads(content or b"{}")
        service, method = self.path.removeprefix("/api/v1/").split("/")
        self.world.log.append(f"POST {service}/{method}")
        fault = self.world.fault(f"{service}/{method}")
        if fault and fault.cut is not None:
            self._hang_up()
            return
        if fault and fault.status:
            self._error(fault.status, fault.message, fault.headers, fault.code_in_200)
            return
        if fault and fault.garbage:
            self._send(200, b"<html>Be right back</html>", {"Content-Type": "text/html"})
            return
        try:
            self._raise_unless_signed_in(method)
            answer = CALLS[method](self.world, body)
        except Refusal as refusal:
            self._error(refusal.status, refusal.message)
            return
        if isinstance(answer, str) and self.world.direct:
            self._answer_with_storage(urlsplit(answer))
        elif isinstance(answer, str):
            self.send_response(302)
            self.send_header("Location", answer)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json; charset=utf-8"})

    def do_GET(self) -> None:
        self._answer_with_storage(urlsplit(self.path))

    def _answer_with_storage(self, where: SplitResult) -> None:
        wanted = self.headers.get("Range")
        self.world.log.append(f"GET {where.path} {wanted or ''}".strip())
        if parse_qs(where.query).get("X-Signature") != [SIGNATURE]:
            self._error(403, "unsigned")
            return
        kind, name = where.path.removeprefix("/storage/").removesuffix(".zip").split("/", 1)
        stored = getattr(self.world, kind)[name]
        fault = self.world.fault(f"GET {where.path} {wanted or 'whole'}") or Fault("")
        if fault.status:
            self._error(fault.status, fault.message, fault.headers)
            return
        start, status = 0, 200
        if wanted and stored.ranges and self.headers.get("If-Range") in (None, stored.etag):
            start, status = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]), 206
            self.world.ranges.append(wanted)
        self._stream(stored, start, status, fault)

    def do_PUT(self) -> None:
        where, length = urlsplit(self.path), int(self.headers.get("Content-Length", 0))
        upload = self.world.uploads[where.path.rpartition("/")[2]]
        place = self.headers.get("Content-Range", "")
        self.world.log.append(f"PUT {upload.name} {place}".strip())
        if parse_qs(where.query).get("upload_id") != [SIGNATURE]:
            self._error(403, "unsigned")
            return
        if place.startswith("bytes */"):
            self._report(upload)
            return
        fault = self.world.fault(f"PUT {upload.name}") or Fault("")
        if fault.status:
            self.rfile.read(length)
            self._error(fault.status, fault.message, fault.headers)
            return
        start = int(re.match(r"bytes (\d+)-", place)[1]) if place else 0
        assert start <= len(upload.content), "a hole in the file"
        upload.content = upload.content[:start] + self.rfile.read(
            length if fault.cut is None else min(length, fault.cut)
        )
        if fault.cut is not None:
            self._hang_up()
            return
        self._report(upload)

    def _report(self, upload: Upload) -> None:
        if upload.done:
            self._send(200, b"")
        else:
            there = {"Range": f"bytes=0-{len(upload.content) - 1}"} if upload.content else {}
            self._send(308, b"", there)

    def _stream(self, stored: Stored, start: int, status: int, fault: Fault) -> None:
        content = stored.content[start:]
        if fault.corrupt:
            content = bytes([content[0] ^ 1]) + content[1:]
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) + fault.longer))
        self.send_header("ETag", stored.etag)
        if stored.ranges:
            self.send_header("Accept-Ranges", "bytes")
        if stored.with_md5:
            digest = base64.b64encode(hashlib.md5(stored.content).digest()).decode()
            self.send_header("x-goog-hash", f"crc32c=AAAAAA==,md5={digest}")
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(stored.content) - 1}/{len(stored.content)}")
        self.end_headers()
        self.wfile.write(content if fault.cut is None else content[: fault.cut])
        if fault.cut is not None or fault.longer:
            self._hang_up()

    def _raise_unless_signed_in(self, method: str) -> None:
        basic = "Basic " + base64.b64encode(f"{USER}:{KEY}".encode()).decode()
        if method != "IntrospectToken" and self.headers.get("Authorization") not in (basic, f"Bearer {TOKEN}"):
            raise Refusal(401, f"Unauthenticated: {self.headers.get('Authorization')}")  # an echo that must not be told

    def _error(
        self, status: int, message: str, headers: dict[str, str] | None = None, code_in_200: bool = False
    ) -> None:
        body = json.dumps({"code": status, "message": message}).encode()
        self._send(200 if code_in_200 else status, body, {"Content-Type": "application/json"} | (headers or {}))

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _hang_up(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        self.connection.close()


def _introspect(world: World, body: dict[str, Any]) -> dict[str, Any]:
    if body["token"] != TOKEN:
        raise Refusal(404, "no such token")
    return {"active": True, "username": USER}


def _storage(world: World, kind: str, name: str) -> str:
    return f"{world.url}/storage/{kind}/{name}.zip?X-Signature={SIGNATURE}"


def _download_competition(world: World, body: dict[str, Any]) -> str:
    name = body["competitionName"]
    if name not in world.competitions:
        raise Refusal(404, "Not found")
    if not world.rules_accepted:
        raise Refusal(403, "You must accept this competition's rules before you'll be able to download files.")
    return _storage(world, "competitions", name)


def _download_dataset(world: World, body: dict[str, Any]) -> str:
    name = f"{body['ownerSlug']}/{body['datasetSlug']}"
    if name not in world.datasets:
        raise Refusal(403, "Permission 'datasets.get' was denied")
    return _storage(world, "datasets", name)


def _dataset_status(world: World, body: dict[str, Any]) -> dict[str, Any]:
    if f"{body['ownerSlug']}/{body['datasetSlug']}" not in world.published:
        raise Refusal(403, "Permission 'datasets.get' was denied")  # what Kaggle says of what does not exist
    return {"status": _next(world.dataset_states)}


def _start_upload(world: World, name: str, size: int) -> dict[str, Any]:
    token = f"blob{len(world.uploads)}"
    world.uploads[token] = Upload(name, size)
    return {"token": token, "createUrl": f"{world.url}/upload/{token}?upload_id={SIGNATURE}"}


def _start_blob(world: World, body: dict[str, Any]) -> dict[str, Any]:
    assert body["type"] == "DATASET"
    return _start_upload(world, body["name"], body.get("contentLength", 0))


def _publish(world: World, ref: str, version: dict[str, Any]) -> dict[str, Any]:
    assert all(world.uploads[file["token"]].done for file in version["files"]), "a file that did not arrive"
    world.published.setdefault(ref, []).append(version)
    return {"ref": f"/{ref}", "url": f"https://www.kaggle.com/datasets/{ref}", "status": "ok"}


def _create_dataset(world: World, body: dict[str, Any]) -> dict[str, Any]:
    if body["licenseName"] == "none-such":
        return {"status": "error", "error": "The license name is not valid"}
    return _publish(world, f"{body['ownerSlug']}/{body['slug']}", body)


def _create_version(world: World, body: dict[str, Any]) -> dict[str, Any]:
    return _publish(world, f"{body['ownerSlug']}/{body['datasetSlug']}", body["body"])


def _start_submission(world: World, body: dict[str, Any]) -> dict[str, Any]:
    return _start_upload(world, body["fileName"], body["contentLength"])


def _create_submission(world: World, body: dict[str, Any]) -> dict[str, Any]:
    world.submissions.append(body)
    return {"message": "Successfully submitted", "ref": 1000 + len(world.submissions)}


def _list_submissions(world: World, body: dict[str, Any]) -> dict[str, Any]:
    """The newest first, two a page."""
    taken = [
        {
            "ref": 1001 + at,
            "fileName": sent.get("fileName") or world.uploads[sent["blobFileTokens"]].name,
            "description": sent.get("submissionDescription", ""),
            "submittedBy": sent.get("submittedBy", USER),
            "date": "2026-01-02T03:04:05.006Z",
        }
        for at, sent in enumerate(world.submissions)
        if sent["competitionName"] == body["competitionName"]
    ][::-1]
    start = int(body.get("pageToken") or 0)
    more = {"nextPageToken": str(start + 2)} if start + 2 < len(taken) else {}
    return {"submissions": taken[start : start + 2]} | more


def _get_submission(world: World, body: dict[str, Any]) -> dict[str, Any]:
    return {"ref": body["ref"], "date": "2026-01-02T03:04:05.006Z"} | _next(world.scores)


def _save_kernel(world: World, body: dict[str, Any]) -> dict[str, Any]:
    unknown = [ref for ref in body["datasetDataSources"] if ref not in world.published]
    world.kernels.append(body)
    ref = body["slug"]
    answer = {"ref": f"/code/{ref}", "url": f"https://www.kaggle.com/code/{ref}", "versionNumber": len(world.kernels)}
    return answer | {"invalidDatasetSources": unknown}


def _kernel_status(world: World, body: dict[str, Any]) -> dict[str, Any]:
    status, failure = _next(world.kernel_states)
    return {"status": status, "failureMessage": failure}


CALLS: dict[str, Callable[[World, dict[str, Any]], dict[str, Any] | str]] = {
    "IntrospectToken": _introspect,
    "DownloadDataFiles": _download_competition,
    "DownloadDataset": _download_dataset,
    "GetDatasetStatus": _dataset_status,
    "StartBlobUpload": _start_blob,
    "CreateDataset": _create_dataset,
    "CreateDatasetVersion": _create_version,
    "StartSubmissionUpload": _start_submission,
    "CreateSubmission": _create_submission,
    "CreateCodeSubmission": _create_submission,
    "GetSubmission": _get_submission,
    "ListSubmissions": _list_submissions,
    "SaveKernel": _save_kernel,
    "GetKernelSessionStatus": _kernel_status,
}


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news; anything else is shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def kaggle_server() -> Iterator[World]:
    """Serve on a free port of loopback."""
    world = World()
    handler = type("BoundHandler", (Handler,), {"world": world})
    server = Server(("127.0.0.1", 0), handler)
    world.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield world
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def forget_account(patch: pytest.MonkeyPatch, home: Path) -> None:
    """An empty home without any Kaggle credentials, and no proxy that loopback would go through."""
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        patch.delenv(name, raising=False)
    patch.setenv("HOME", str(home))
    patch.setenv("KAGGLE_CONFIG_DIR", str(home))
    patch.setenv("NO_PROXY", "*")


@contextmanager
def signed_in_server(patch: pytest.MonkeyPatch, home: Path) -> Iterator[World]:
    """The server; the real client is pointed at it, and signs in as its user. Call `forget_account` first."""
    pytest.importorskip("kaggle", reason="needs sever[kaggle]")
    from kaggle.api.kaggle_api_extended import KaggleApi
    from kagglesdk import kaggle_env

    with kaggle_server() as world:
        patch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.LOCAL, world.url)
        patch.setattr(KaggleApi, "args", ["--local"])
        patch.setattr(KaggleApi, "config", str(home / "kaggle.json"))
        patch.setenv("KAGGLE_USERNAME", USER)
        patch.setenv("KAGGLE_KEY", KEY)
        yield world


class Naps:
    """A clock and a sleep that take no time; `slept` has what was waited for, in seconds."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()
