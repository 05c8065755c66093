"""Freed memory is kept: seen in the page faults of a fresh process, since the setting can't be taken back."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sever.models.allocator import WARM_STEPS, KeptMemory

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


def test_what_is_held_beyond_the_bound_is_handed_back() -> None:
    """Hand-reckoned: a step needs 100; up to 150 is kept."""
    held = iter([100, 140, 150, 151, 151, 90, 400, 400])
    handed_back_at: list[int] = []
    steps: list[int] = []
    kept = KeptMemory(1.5, lambda: next(held), lambda: handed_back_at.append(len(steps)) is None)
    for step in range(1, WARM_STEPS + 7):
        steps.append(step)
        kept.after_step()
    # At the end of warming up, to see what a step needs; then at 151 and at 400, which is asked for twice.
    assert handed_back_at == [WARM_STEPS, WARM_STEPS + 4, WARM_STEPS + 6]
    assert (kept.needed, kept.given_back) == (100, 3)


def test_without_a_bound_nothing_is_looked_at() -> None:
    def never() -> int:
        raise AssertionError

    kept = KeptMemory(None, never, never)  # type: ignore[arg-type]
    for _ in range(10):
        kept.after_step()


GIVE_BACK = """
import numpy as np
from sever.models.allocator import give_back, held_bytes, keep_freed_memory

if not keep_freed_memory():
    print("no glibc")
    raise SystemExit
blocks = [np.ones(1_000_000) for _ in range(40)]
last = np.ones(1000)  # above them: what is freed below is not at the top
del blocks
kept = held_bytes()
assert give_back()
print((kept - held_bytes()) // 2**20)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is the C library of Linux")
def test_what_is_given_back_is_gone() -> None:
    given = subprocess.run([sys.executable, "-c", GIVE_BACK], capture_output=True, text=True, check=True).stdout.strip()
    if given == "no glibc":
        pytest.skip("this C library has no malloc_trim")
    assert int(given) > 250, "of 305 MB"
