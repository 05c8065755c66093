"""What to say where the processes that read training images die, or can't be started; knows not how they read."""

from __future__ import annotations

import errno

from sever.errors import InputError, worker_died
from sever.store import Run

# How torch begins what it says of the processes of a loader.
LOADER_WORKER = "DataLoader worker"
# Too little memory for another process, too many files, or no /dev/shm for the locks between them.
CANNOT_START = frozenset(
    {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENOENT, errno.EACCES, errno.ENOSYS, errno.EROFS}
)


def loader_fault(error: RuntimeError | OSError, workers: int, run: Run) -> InputError | None:
    """What to say where the processes that read images died, or could not even be started; None for other errors.

    torch notices a death at once, by a signal, so that it is told wherever training stands.
    """
    ways_out = (
        f"give more of either (docker run --shm-size) and resume with: sever train -r {run.folder}, or start again "
        f"with a lower train.batch_size or train.workers (it is {workers}; 0 reads images in the training process)"
    )
    if isinstance(error, RuntimeError):
        words = " ".join(str(error).split())
        return worker_died("a process that reads images", ways_out, words) if LOADER_WORKER in words else None
    could_not_start = workers > 0 and error.filename is None and error.errno in CANNOT_START
    if not could_not_start:
        return None
    return InputError(f"processes that read images could not be started ({error}): memory or /dev/shm; {ways_out}")
