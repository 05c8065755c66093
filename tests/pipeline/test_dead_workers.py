"""A process that works for another and dies ends the command with a sentence; batches need no shared memory."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from command_line import sever, train

from sever.data.batch import TrainingBatch
from sever.data.dataset import StripDataset
from sever.data.synthetic import files as synthetic
from sever.errors import InputError
from sever.pipeline import fold_processes
from sever.pipeline.training_log import TrainingLog
from sever.store import Evidence

needs_processes = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")


def with_workers(experiment: Path, **settings: object) -> Path:
    values = yaml.safe_load(experiment.read_text())
    values["train"] |= {"workers": 2, "epochs": 3} | settings
    experiment.write_text(yaml.safe_dump(values))
    return experiment


def test_a_batch_goes_between_processes_as_it_is() -> None:
    """By torch's own way the message would hold the name of shared memory, and no pixels."""
    batch = TrainingBatch(
        torch.arange(60, dtype=torch.uint8).reshape(1, 1, 6, 10), torch.ones(1, 4, 6, 10, dtype=torch.uint8)
    )
    message = ForkingPickler.dumps(batch)
    assert bytes(range(60)) in bytes(message)
    there = pickle.loads(message)
    assert type(there) is TrainingBatch
    assert all(map(torch.equal, there, batch))
    there.pixels.add_(1)  # is writable, as a tensor that came by shared memory is


@needs_processes
@pytest.mark.parametrize("moment", ["step", "validate"])
@pytest.mark.parametrize("number", ["SIGKILL", "SIGBUS"])
def test_a_dead_reader_ends_the_training(
    moment: str, number: str, tiny_experiment: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    before = {child.pid for child in multiprocessing.active_children()}
    ours = getattr(TrainingLog, moment)

    def kill_then(self: TrainingLog, *rest: Any) -> Any:
        victim = next(child for child in multiprocessing.active_children() if child.pid not in before)
        assert victim.pid is not None
        os.kill(victim.pid, getattr(signal, number))
        return ours(self, *rest)

    monkeypatch.setattr(TrainingLog, moment, kill_then)
    start = time.monotonic()
    assert train(with_workers(tiny_experiment)) == 2
    assert time.monotonic() - start < 60  # it would be for ever
    (run,) = (tiny_experiment.parent / "saved" / "tiny").iterdir()
    shown = capfd.readouterr().err
    for words in ("a process that reads images died", "/dev/shm", "memory", "train.workers", f"train -r {run}"):
        assert words in shown
    assert "our fault" not in shown
    gc.collect()  # of what the error held
    assert not {child.pid for child in multiprocessing.active_children()} - before


def test_memory_that_runs_out_in_a_reader(
    tiny_experiment: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run_out(self: StripDataset, key: object) -> None:
        raise MemoryError

    monkeypatch.setattr(StripDataset, "__getitem__", run_out)
    assert train(with_workers(tiny_experiment, workers=1)) == 2
    shown = capsys.readouterr().err
    assert "memory ran out" in shown
    assert "Traceback" not in shown


def die(root: Path, settings: object, index: int) -> list[str]:
    os.kill(os.getpid(), signal.SIGKILL)
    return []


@needs_processes
def test_a_dead_drawer_ends_the_synthesis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(synthetic, "_write_image", die)
    size = ["--train", 3, "--test", 1, "--height", 64, "--width", 64, "--workers", 2]
    assert sever("synth", "-o", tmp_path / "new", *size) == 2
    assert "a process that draws images died" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@needs_processes
def test_a_dead_fold_ends_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fold 0 dies; fold 1 would train for an hour, and fold 2 must not even begin."""
    begun: list[subprocess.Popen[bytes]] = []
    plain = subprocess.Popen

    def start(command: list[str], **how: Any) -> subprocess.Popen[bytes]:
        fold = command[command.index("--fold") + 1]
        code = (
            "import os, time; time.sleep(1); os.kill(os.getpid(), 9)"
            if fold == "0"
            else "import time; time.sleep(3600)"
        )
        begun.append(plain([sys.executable, "-c", code], **how))
        return begun[-1]

    monkeypatch.setattr(fold_processes.subprocess, "Popen", start)
    with pytest.raises(InputError, match=r"the process of fold 0 died \(killed by signal 9\).*memory.*--jobs"):
        fold_processes.run_side_by_side(Evidence(tmp_path), [0, 1, 2], "cpu", 2)
    assert len(begun) == 2
    assert all(process.poll() is not None for process in begun)
