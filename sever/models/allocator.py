"""Memory that is kept for the next step, and how much of it; knows nothing of networks.

A training step on a CPU allocates and frees the same large blocks again and again. glibc hands large blocks back to the
kernel at once, which then clears every page anew: up to half of the time of a step with large batches. Kept without
end, what other work freed (validation, another size of batch) stays as well: several times what a step needs.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path

from sever.progress import detail

# Numbers of mallopt(3), from glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_LARGEST_INT = 2**31 - 1
_TOP_PAD_BYTES = 64 * 2**20
_STATM = Path("/proc/self/statm")
# Steps before the first look: they set up the optimiser's memory and kernels.
WARM_STEPS = 3
MEGA = 2**20


def keep_freed_memory() -> bool:
    """Tell glibc to keep what is freed and to take large blocks from it too; False where there is no glibc.

    The process then never shrinks by itself, so it is for training on a CPU only.
    """
    mallopt = _glibc("mallopt")
    if mallopt is None:
        return False
    wanted = {_MMAP_MAX: 0, _TRIM_THRESHOLD: _LARGEST_INT, _TOP_PAD: _TOP_PAD_BYTES}
    answers = {mallopt(name, value) for name, value in wanted.items()}
    return answers == {1}


def give_back() -> bool:
    """Hand all freed memory back to the kernel, wherever it lies; False where that can't be done."""
    trim = _glibc("malloc_trim")
    return trim is not None and bool(trim(0))


def held_bytes() -> int:
    """Memory that this process holds; 0 where the system does not say."""
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if _STATM.is_file() else 0


class KeptMemory:
    """Bounds what is kept to `times` what a step needs; `after_step` is called after every one.

    What a step needs is measured once: all is handed back, and what the process holds a step later is that. Beyond the
    bound all is handed back again, which costs one step its page faults.
    """

    def __init__(
        self,
        times: float | None,
        held: Callable[[], int] = held_bytes,
        give: Callable[[], bool] = give_back,
    ) -> None:
        self.times, self._held, self._give = times, held, give
        self.needed, self.given_back, self._steps = 0, 0, 0

    def after_step(self) -> None:
        if self.times is None:
            return
        self._steps += 1
        if self._steps == WARM_STEPS:
            self._hand_back()
        elif self._steps == WARM_STEPS + 1:
            self.needed = self._held()
            detail(f"a step needs {self.needed // MEGA} MB")
        elif self._steps > WARM_STEPS and self._held() > self.times * self.needed:
            held = self._held()
            self._hand_back()
            detail(f"held {held // MEGA} MB, more than {self.times:g} times what a step needs; handed back")

    def _hand_back(self) -> None:
        self.given_back += self._give()


def _glibc(name: str) -> Callable[..., int] | None:
    """A function of glibc; None where there is another C library, which has no such thing."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        found: Callable[..., int] = getattr(ctypes.CDLL("libc.so.6"), name)
    except (OSError, AttributeError):
        return None
    return found
