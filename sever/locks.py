"""One writer a folder: a lock of the kernel's, gone with its process however that ends; knows not what is written.

POSIX record locks (`fcntl.lockf`) belong to a process and not to its children, so that the workers of a data loader
that outlive a killed training for some seconds do not hold on to its folder. They end when a process closes the file
anywhere, so no other code opens it. On Windows it is a byte far beyond the file's end (`msvcrt.locking`).
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shlex
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from sever.errors import FULL, InputError

P = ParamSpec("P")
R = TypeVar("R")

LOCK = ".sever.lock"
WAIT_SECONDS, POLL_SECONDS = 60.0, 0.05
_FAR_BYTE = 1 << 30
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
# Locks that this process holds: who holds one may take it again.
_held: set[Path] = set()
# A lock of the kernel's is the process's: its threads take turns by these.
_turns: dict[Path, threading.RLock] = {}


@contextmanager
def one_writer(folder: Path, refusal: str | None = None, once: bool = False) -> Iterator[None]:
    """Hold the lock of a folder, which is made where need be. Raises InputError where another process writes there.

    Processes that train one network together count as one: the first of them holds the lock. This process may take it
    again, unless `once`. `refusal`: the beginning of the sentence.
    """
    refusal = refusal or f"{folder} is being written by another sever"
    if once and (folder / LOCK).absolute().parent.resolve() / LOCK in _held:
        raise InputError(f"{refusal} (in this very process); wait for it")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give a folder")
    with _locked(folder / LOCK, refusal, 0.0):
        _raise_if_locked(_beside(folder.resolve()) if folder.resolve().name else None, refusal)
        yield


@contextmanager
def one_writer_of(place: Path) -> Iterator[None]:
    """The same of a file, or of a folder that is put there whole by a rename: the lock lies beside it.

    Who fills a folder and who would put one in its place keep each other out, too: either looks for the other's lock
    when it has its own.
    """
    refusal = f"{place} is being written by another sever"
    with _locked(_beside(place), refusal, 0.0):
        _raise_if_locked(place / LOCK if place.is_dir() else None, refusal)
        yield


@contextmanager
def taking_turns(file: Path, refusal: str | None = None) -> Iterator[None]:
    """Hold the lock of a file that is written in a moment; whoever comes second waits.

    `refusal`: the beginning of the sentence for who has waited too long.
    """
    lock = _beside(file)
    turn = _turns.setdefault(lock.absolute(), threading.RLock())
    with turn, _locked(lock, f"{refusal or f'{file} has been in use'} for {WAIT_SECONDS:g} s", WAIT_SECONDS):
        yield


def writes_to(parameter: str, whole: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """For a function that writes into the folder which it is given as `parameter`: it holds that folder's lock.

    `whole`: what is written is a file, or a folder that is put there by a rename.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def locked(*arguments: P.args, **options: P.kwargs) -> R:
            folder = signature(function).bind(*arguments, **options).arguments.get(parameter)
            lock = one_writer_of if whole else one_writer
            with lock(folder) if folder is not None else nullcontext():
                return function(*arguments, **options)

        return locked

    return decorate


def _beside(place: Path) -> Path:
    name = place.absolute().name
    if name in ("", ".."):
        raise InputError(f"{place} can't be written as a whole; give a name in it")
    return place.absolute().with_name(f".{name}.lock")


@contextmanager
def _locked(lock: Path, refusal: str, wait_seconds: float) -> Iterator[None]:
    lock = lock.parent.resolve() / lock.name
    if lock in _held or os.environ.get("RANK", "0") != "0":
        yield
        return
    made = _make_folder(lock.parent)
    handle = _acquire(lock, refusal, wait_seconds)
    _held.add(lock)
    try:
        yield
    finally:
        _held.discard(lock)
        _release(handle, lock)
        for folder in made:  # where nothing came of it
            with suppress(OSError):
                folder.rmdir()


def _make_folder(folder: Path) -> list[Path]:
    """Returns the folders that were made, the innermost first."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return made


def _acquire(lock: Path, refusal: str, wait_seconds: float) -> int:
    give_up = time.monotonic() + wait_seconds
    while True:
        handle = _open(lock)
        if _try_to_lock(handle):
            if _is_still_there(handle, lock):
                _sign(handle)
                return handle
            os.close(handle)  # who held it took the file away: the next one is another file
            continue
        refused = _refused(refusal, handle)
        os.close(handle)
        if time.monotonic() >= give_up:
            raise InputError(refused)
        time.sleep(POLL_SECONDS)


def _open(lock: Path) -> int:
    try:
        return os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        if lock.exists():
            raise
        raise InputError(f"no file can be written in {lock.parent}: {error.strerror}; name another place") from error


def _raise_if_locked(lock: Path | None, refusal: str) -> None:
    """Raises InputError where another process holds this lock; it is not taken."""
    lock = None if lock is None else lock.parent.resolve() / lock.name
    if lock is None or lock in _held or os.environ.get("RANK", "0") != "0" or not lock.exists():
        return
    try:
        handle = os.open(lock, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    except FileNotFoundError:  # released meanwhile
        return
    try:
        if not _try_to_lock(handle, shared=True):
            raise InputError(_refused(refusal, handle))
    finally:
        os.close(handle)


def _release(handle: int, lock: Path) -> None:
    if sys.platform != "win32":
        lock.unlink(missing_ok=True)
    os.close(handle)


def _try_to_lock(handle: int, shared: bool = False) -> bool:
    """`shared`: with others that only look; such a lock can be had of a file that may not be written."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(handle, _FAR_BYTE, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.lockf(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        logging.getLogger("sever").warning("this disk knows no locks: take care that no other sever writes there")
    return True


def _is_still_there(handle: int, lock: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), lock.stat())
    except FileNotFoundError:
        return False


def _sign(handle: int) -> None:
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    signature = {"pid": os.getpid(), "host": socket.gethostname(), "since": now, "command": command}
    try:
        os.ftruncate(handle, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        os.write(handle, json.dumps(signature).encode())
    except OSError as error:
        if error.errno not in FULL:  # the lock holds without a name, and the result itself will say which disk is full
            raise


def _refused(refusal: str, handle: int) -> str:
    return f"{refusal} ({_read_signature(handle)}); wait for it, or end it, and type the command again"


def _read_signature(handle: int) -> str:
    """Who holds a lock, in words; it may be in the midst of signing."""
    try:
        os.lseek(handle, 0, os.SEEK_SET)
        found: dict[str, Any] = json.loads(os.read(handle, 1 << 16))
        host = "" if found["host"] == socket.gethostname() else f" on {found['host']}"
        return f"process {found['pid']}{host}, since {found['since']}: {found['command']}"
    except (ValueError, KeyError, TypeError, RecursionError, OSError):
        return "which has only just begun"
