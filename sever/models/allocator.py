"""Memory that is kept for the next step; knows nothing of networks.

A training step on a CPU allocates and frees the same large blocks again and again. glibc hands large blocks back to the
kernel at once, which then clears every page anew: up to half of the time of a step with large batches.
"""

from __future__ import annotations

import ctypes
import sys

# Numbers of mallopt(3), from glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_LARGEST_INT = 2**31 - 1
_TOP_PAD_BYTES = 64 * 2**20


def keep_freed_memory() -> bool:
    """Tell glibc to keep what is freed and to take large blocks from it too; False where there is no glibc.

    The process then never shrinks, so it is for training on a CPU only.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # musl and others have no such call
        return False
    wanted = {_MMAP_MAX: 0, _TRIM_THRESHOLD: _LARGEST_INT, _TOP_PAD: _TOP_PAD_BYTES}
    answers = {mallopt(name, value) for name, value in wanted.items()}
    return answers == {1}
