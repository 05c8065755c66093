"""Original images on any store that fsspec knows (S3, Azure, GCS, SFTP, ...), under the digest of their content.

An image is written under another name and moved, or in one request where the store has no moves of its own: what lies
under a digest is whole. Whatever the library raises becomes an OSError, which every reader of images expects.
"""

from __future__ import annotations

import hashlib
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sever.deliver.serve.storage.pictures import DamagedImage, Pictures
from sever.errors import InputError

_DIGEST = re.compile(r"[0-9a-f]{64}")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://.+")
# After so long an image that is sent again is written again, so that retention takes it for a new one.
FRESH_SECONDS = 600.0


def open_pictures(folder: Path, where: str | None, durable: bool = True) -> Pictures | RemotePictures:
    """In the store's folder, in another one, or at an address. Raises InputError where that can't be had."""
    if where is not None and _ADDRESS.fullmatch(where):
        return RemotePictures(where)
    return Pictures(Path(where) if where is not None else folder / "images", durable)


class UnreachableStore(OSError, InputError):
    """A store that is away, or refuses: the service waits for it, and a command can't work without it."""


class RemotePictures:
    """The same words as Pictures has. Raises InputError for an address that fsspec does not know."""

    def __init__(self, address: str) -> None:
        if find_spec("fsspec") is None:
            raise InputError(f"images at {address} need fsspec; pip install 'sever[stores]'")
        import fsspec

        try:
            self._fs, self._root = fsspec.core.url_to_fs(address.rstrip("/"))
        except (ImportError, ValueError) as error:
            raise InputError(f"images at {address} can't be kept: {error}") from error
        except Exception as error:  # some kinds of store connect at once
            raise UnreachableStore(f"the images at {address} can't be reached: {error}") from error
        self.address = address
        self._written: dict[str, float] = {}

    def keep(self, data: bytes) -> str:
        """Returns the digest; the image is in the store by then."""
        digest = hashlib.sha256(data).hexdigest()
        now = time.time()
        if now - self._written.get(digest, 0.0) < FRESH_SECONDS:
            return digest
        path = self._path(digest)
        with _as_os_error(self.address):
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            if "local" in self._protocols or "sftp" in self._protocols:
                temporary = f"{path}.{uuid.uuid4().hex}"
                self._fs.pipe_file(temporary, data)
                self._fs.mv(temporary, path)
            else:
                self._fs.pipe_file(path, data)
        self._written = {each: at for each, at in self._written.items() if now - at < FRESH_SECONDS} | {digest: now}
        return digest

    def read(self, digest: str) -> bytes | None:
        """None where it was dropped. Raises DamagedImage for one that is not what its name says."""
        try:
            with _as_os_error(self.address):
                data = bytes(self._fs.cat_file(self._path(digest)))
        except FileNotFoundError:
            return None
        if hashlib.sha256(data).hexdigest() != digest:
            raise DamagedImage(f"the image {digest} at {self.address} is damaged: its content does not match its name")
        return data

    def drop(self, digest: str) -> None:
        self._written.pop(digest, None)
        try:
            with _as_os_error(self.address):
                self._fs.rm_file(self._path(digest))
        except FileNotFoundError:
            return

    @property
    def where(self) -> str:
        return self.address

    def is_there(self) -> bool:
        """Whether there is a place for images at all, be it an empty one."""
        with _as_os_error(self.address):
            return bool(self._fs.exists(self._root))

    def __iter__(self) -> Iterator[str]:
        """The digests of all images that are there."""
        self._fs.invalidate_cache()
        with _as_os_error(self.address):
            found = self._fs.find(self._root) if self._fs.exists(self._root) else []
        yield from (name for path in found if _DIGEST.fullmatch(name := str(path).rpartition("/")[2]))

    def age(self, digest: str) -> float:
        """When it was last written, in seconds since 1970; now, where the store does not say."""
        try:
            return float(self._fs.modified(self._path(digest)).timestamp())
        except NotImplementedError:
            return time.time()

    @property
    def _protocols(self) -> tuple[str, ...]:
        known: Any = self._fs.protocol
        return (known,) if isinstance(known, str) else tuple(known)

    def _path(self, digest: str) -> str:
        assert _DIGEST.fullmatch(digest), digest
        return f"{self._root}/{digest[:2]}/{digest}"


@contextmanager
def _as_os_error(address: str) -> Iterator[None]:
    """Each kind of store has errors of its own, which nobody else can list."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or isinstance(error, FileNotFoundError):  # of a disk, and of what isn't there
            raise
        raise UnreachableStore(f"the images at {address} can't be reached: {error}") from error
    except Exception as error:
        raise UnreachableStore(f"the images at {address} can't be reached: {error}") from error
