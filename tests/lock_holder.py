"""Another process that holds a lock, for tests of what happens then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOLD = """
import sys, time, subprocess
from pathlib import Path
from sever.locks import one_writer, one_writer_of
which = one_writer_of if sys.argv[1] == "file" else one_writer
with which(Path(sys.argv[2])):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) if "child" in sys.argv else None
    pid = __import__("os").fork() if "fork" in sys.argv else -1
    if pid == 0:
        time.sleep(60)
    print(child.pid if child else pid, flush=True)
    time.sleep(60)
"""


@contextmanager
def another(place: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another process that holds the lock of a place, and the process that it started."""
    command = [sys.executable, "-c", HOLD, words[0] if words else "folder", str(place), *words[1:]]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        yield process, child
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        if child > 0:
            os.kill(child, signal.SIGKILL)
