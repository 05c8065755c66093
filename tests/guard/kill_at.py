"""A process that kills itself with SIGKILL just before its N-th change of a folder; knows not what is changed.

A change is a rename, a deletion, a new folder, or a file opened to be written, anywhere below the folder, and whatever
is sent by HTTP. The hook is Python's own (`sys.addaudithook`), so that the code under test has nothing of it.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

AT, BELOW, COUNT_FILE = "SEVER_TEST_KILL_AT", "SEVER_TEST_KILL_BELOW", "SEVER_TEST_KILL_COUNT"
_CHANGES = {"os.rename": 1, "os.remove": 0, "os.mkdir": 0, "os.rmdir": 0, "os.truncate": 0}
_TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_APPEND


class Counter:
    """Counts the changes; `at` is the one that is not made any more, 0 for none."""

    def __init__(self, below: str, at: int, group: bool = True) -> None:
        self.below, self.at, self.group, self.count = str(Path(below).resolve()), at, group, 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _CHANGES:
            path = arguments[_CHANGES[event]]
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & _TO_WRITE:
            path = arguments[0]
        elif event == "http.client.send":
            self._count_one()
            return
        else:
            return
        if not isinstance(path, str | bytes | os.PathLike):
            return
        name = os.fspath(path)
        text = name.decode(errors="replace") if isinstance(name, bytes) else name
        if not str(Path(text).absolute()).startswith(self.below) or text.endswith(".lock"):
            return
        self._count_one()

    def _count_one(self) -> None:
        self.count += 1
        if self.count == self.at:
            # With its children, as a power cut would.
            os.killpg(os.getpgid(0), signal.SIGKILL) if self.group else os.kill(os.getpid(), signal.SIGKILL)


def install() -> None:
    """For child processes of a test, by their environment."""
    if AT in os.environ:
        sys.addaudithook(Counter(os.environ[BELOW], int(os.environ[AT])))
