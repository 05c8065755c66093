"""Folds side by side, each a process of its own with its share of the cores or a GPU; knows not what a fold does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from types import FrameType

import torch

from sever.errors import InputError, worker_died
from sever.progress import meter
from sever.store import Evidence

# A fold trained beside another on the same CPU needs a few cores of its own; below that they only get in each other's
# way.
CORES_A_FOLD = 4


def default_jobs(device: str) -> int:
    """One fold a GPU, or one a `CORES_A_FOLD` cores."""
    if device in ("auto", "cuda") and torch.cuda.is_available():
        return torch.cuda.device_count()
    return max(1, (os.cpu_count() or 1) // CORES_A_FOLD) if device in ("auto", "cpu") else 1


def run_side_by_side(evidence: Evidence, folds: Sequence[int], device: str, jobs: int) -> None:
    """`jobs` processes at a time; their output in fold-K.log. When this process is told to end, they end with it."""
    slots: SimpleQueue[int] = SimpleQueue()
    for slot in range(jobs):
        slots.put(slot)
    running: set[subprocess.Popen[bytes]] = set()
    failed = threading.Event()

    def run(fold: int) -> None:
        slot = slots.get()
        try:
            if not failed.is_set():
                _run_alone(evidence, fold, _slot_device(device, slot), max(1, (os.cpu_count() or 1) // jobs), running)
        except InputError:
            # The other folds would go on for hours before anyone is told; later each goes on from its last checkpoint.
            if not failed.is_set():  # else it was ended because another one failed, which is told
                failed.set()
                _end(running)
                raise
        finally:
            slots.put(slot)

    with _ending_together(running), meter("folds", len(folds)) as progress, ThreadPoolExecutor(jobs) as pool:
        try:
            for finished in as_completed([pool.submit(run, fold) for fold in folds]):
                finished.result()
                progress.advance()
        except (KeyboardInterrupt, SystemExit):
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _run_alone(evidence: Evidence, fold: int, device: str, threads: int, running: set[subprocess.Popen[bytes]]) -> None:
    log_file = evidence.fold_folder(fold).with_suffix(".log")
    command = [sys.executable, "-m", "sever", "crossval", "-r", str(evidence.folder), "--fold", str(fold)]
    with log_file.open("ab") as log:
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        process = subprocess.Popen([*command, "--device", device], stdout=log, stderr=log, env=environment)
        running.add(process)
        try:
            status = process.wait()
        finally:
            running.discard(process)
    if status < 0:
        ways_out = f"run fewer folds at a time (--jobs), or repeat the same command to resume ({log_file})"
        raise worker_died(f"the process of fold {fold}", ways_out, f"killed by signal {-status}")
    if status:
        raise InputError(f"fold {fold} failed ({log_file}): {_last_line(log_file)}; repeat the same command to resume")


def _last_line(log_file: Path) -> str:
    return "".join(log_file.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:])


def _end(running: set[subprocess.Popen[bytes]]) -> None:
    for process in tuple(running):
        process.terminate()


@contextmanager
def _ending_together(running: set[subprocess.Popen[bytes]]) -> Iterator[None]:
    """SIGTERM ends the processes, too: left alone they would train on, and a second start would train beside them."""

    def end(number: int, frame: FrameType | None) -> None:
        _end(running)
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _slot_device(device: str, slot: int) -> str:
    on_gpus = device in ("auto", "cuda") and torch.cuda.is_available()
    return f"cuda:{slot % torch.cuda.device_count()}" if on_gpus else device
