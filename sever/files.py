"""Nothing half-written: to a temporary name first, then one rename; and what a file holds, as a hash.

A rename alone is not enough where the power fails: the new name may be on the disk before the content is. So content
is brought to the disk (fsync) before the rename, and the folder with the name after it, unless `durable` is False: for
what is made again in a moment, as one of thousands of maps.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sever.errors import FULL, InputError

# Above so many files, asking for the whole disk at once is quicker than for each.
MANY_FILES = 64
_ASIDE = ".old.tmp"


def is_temporary(path: Path) -> bool:
    """Whether a path is one of those that `atomic_path` gives."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


@contextmanager
def atomic_path(path: Path, durable: bool = True) -> Iterator[Path]:
    """A temporary path beside `path` to write a file to; it takes the name `path` only when the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with naming(path, temporary):
            yield temporary
            if durable:
                _sync(temporary)
        temporary.replace(path)
        if durable:
            _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def raise_unless_new(path: Path, what: str = "") -> None:
    """Raises InputError unless a folder can be made at `path` without touching anything: it is absent, or empty."""
    if path.is_symlink():
        raise InputError(
            f"{what}{path} is a link, which would be replaced; name the folder that it leads to, or another"
        )
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{what}{path} exists and is not empty; name a new folder, or remove this one first")


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """As `atomic_path`, of a file that nothing may be replaced by, not even what came while the block ran."""

    def raise_if_there() -> None:
        if path.exists() or path.is_symlink():
            raise InputError(f"{path} exists already; name a new file, or remove this one first")

    raise_if_there()
    with atomic_path(path) as temporary:
        yield temporary
        raise_if_there()


@contextmanager
def new_folder(path: Path, what: str = "") -> Iterator[Path]:
    """As `atomic_folder`, of a folder that nothing may be replaced by, not even what came while the block ran."""
    raise_unless_new(path, what)
    with atomic_folder(path) as temporary:
        yield temporary
        raise_unless_new(path, what)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path` to fill; it takes the name `path` only when the block succeeds.

    An existing folder `path` is replaced whole: moved aside first, deleted last. What killed processes left of `path`
    is cleared first, so whoever calls this holds a lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _recover(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    replaced = path.with_name(f".{path.name}.{os.getpid()}{_ASIDE}")
    temporary.mkdir()
    try:
        with naming(path, temporary):
            yield temporary
            _sync_tree(temporary)
        if path.exists():
            path.replace(replaced)
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def _recover(path: Path) -> None:
    """Clear what killed processes left; what one had moved aside, and put nothing in its place, comes back."""
    ours = re.compile(rf"\.{re.escape(path.name)}\.[0-9]+(\.old)?\.tmp")
    left = [each for each in path.parent.iterdir() if ours.fullmatch(each.name) and each.is_dir()]
    aside = [each for each in left if each.name.endswith(_ASIDE)]
    if aside and not path.exists():
        aside[0].replace(path)
        left.remove(aside[0])
    for each in left:
        shutil.rmtree(each, ignore_errors=True)


@contextmanager
def naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Errors of a disk that takes no more name no file by themselves, or `temporary` and what is in it: these say
    `path`, for which the user asked."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL and error.filename is None:
            error.filename = str(path)
        if temporary is not None:
            error.filename = _in_place_of(temporary, path, error.filename)
            error.filename2 = _in_place_of(temporary, path, error.filename2)  # of a copy or a rename
        raise


def _in_place_of(temporary: Path, path: Path, name: Any) -> Any:
    """The name of a file that an error says, with `path` for `temporary`; some errors say a number, or nothing."""
    if isinstance(name, str | os.PathLike) and Path(name).is_relative_to(temporary):
        return str(path / Path(name).relative_to(temporary))
    return name


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_of(path: Path) -> tuple[int, str]:
    """Size in bytes and a digest of a file's content, to know it by. Raises OSError."""
    with path.open("rb") as file:
        return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """JSON as people read it; NaN and infinity are refused, since other readers stumble over them."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(path: Path) -> None:
    if sys.platform == "win32":  # where a folder can't be opened, and a rename needs no more
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # a disk that can't, such as some of networks
            raise
    finally:
        os.close(handle)


def _sync_tree(folder: Path) -> None:
    paths = list(folder.rglob("*"))
    if len(paths) > MANY_FILES and hasattr(os, "sync"):
        os.sync()
        return
    for path in paths:
        if path.is_file():
            _sync(path)
    for path in (*filter(Path.is_dir, paths), folder):
        _sync_folder(path)
