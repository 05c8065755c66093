"""Freed memory is kept: seen in the page faults of a fresh process, since the setting can't be taken back."""

from __future__ import annotations

import subprocess
import sys

import pytest

COUNT_FAULTS = """
import resource, sys
import numpy as np
from sever.models.allocator import keep_freed_memory

if sys.argv[1] == "keep" and not keep_freed_memory():
    print("no glibc")
    raise SystemExit
np.ones(8_000_000)  # 64 MB
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    np.ones(8_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is the C library of Linux")
def test_large_blocks_are_taken_from_what_was_freed() -> None:
    def faults(how: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", COUNT_FAULTS, how], capture_output=True, text=True, check=True
        ).stdout.strip()

    kept = faults("keep")
    if kept == "no glibc":
        pytest.skip("this C library has no mallopt")
    assert int(kept) * 4 < int(faults("plain"))
