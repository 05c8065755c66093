"""Original images on disk, each once, under the digest of its content; knows no answers.

A name is always a digest that was computed here, so that nothing a client sends becomes a path.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

from sever.files import atomic_path

_DIGEST = re.compile(r"[0-9a-f]{64}")


class DamagedImage(OSError):
    """A stored image whose content is not what its name says."""


class Pictures:
    """A folder of images."""

    def __init__(self, folder: Path, durable: bool = True) -> None:
        self.folder, self.durable = folder, durable
        # One image may come several times at once; digests are spread over a few locks.
        self._turns = {digit: threading.Lock() for digit in "0123456789abcdef"}

    def keep(self, data: bytes) -> str:
        """Returns the digest; the image is on the disk by then."""
        digest = hashlib.sha256(data).hexdigest()
        path = self._path(digest)
        with self._turns[digest[0]]:
            if _holds(path, data):
                os.utime(path)  # retention leaves alone what was used just now
            else:  # a damaged one is whole again
                with atomic_path(path, self.durable) as temporary:
                    temporary.write_bytes(data)
        return digest

    def read(self, digest: str) -> bytes | None:
        """None where it was dropped. Raises DamagedImage for a file that is not what its name says."""
        path = self._path(digest)
        if not path.is_file():
            return None
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            raise DamagedImage(errno.EIO, "this image is damaged: its content does not match its name", str(path))
        return data

    def drop(self, digest: str) -> None:
        self._path(digest).unlink(missing_ok=True)

    @property
    def where(self) -> str:
        return str(self.folder)

    def is_there(self) -> bool:
        """Whether there is a place for images at all, be it an empty one."""
        return self.folder.is_dir()

    def __iter__(self) -> Iterator[str]:
        """The digests of all images that are there."""
        for path in self.folder.glob("??/*"):
            if _DIGEST.fullmatch(path.name):
                yield path.name

    def age(self, digest: str) -> float:
        """When its file was last sent, in seconds since 1970."""
        return self._path(digest).stat().st_mtime

    def _path(self, digest: str) -> Path:
        assert _DIGEST.fullmatch(digest), digest
        return self.folder / digest[:2] / digest


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except FileNotFoundError:
        return False
