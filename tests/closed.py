"""Files and folders that may not be opened, for root too: the kernel lets it in whatever the modes are."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# linux/capability.h: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, version 3 of the call, 64 bits in two words.
_PAST_MODES, _VERSION = 0b110, 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


@contextmanager
def closed(*paths: Path, mode: int = 0) -> Iterator[None]:
    """These paths have another mode, and modes count: in this thread, and in those and the processes that it starts."""
    before = [(path, path.stat().st_mode & 0o777) for path in paths]
    for path in paths:
        path.chmod(mode)
    try:
        with _as_others_are():
            yield
    finally:
        for path, old in before:
            path.chmod(old)


@contextmanager
def _as_others_are() -> Iterator[None]:
    if os.geteuid() != 0:
        yield
        return
    libc, header, data = ctypes.CDLL(None, use_errno=True), _Header(_VERSION, 0), (_Data * 2)()
    assert libc.capget(ctypes.byref(header), data) == 0
    before = data[0].effective
    data[0].effective = before & ~_PAST_MODES
    assert libc.capset(ctypes.byref(header), data) == 0
    try:
        yield
    finally:
        data[0].effective = before
        assert libc.capset(ctypes.byref(header), data) == 0
