"""A real process is killed with SIGKILL at awkward moments and resumed: its history equals an uninterrupted one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

COMMAND = [sys.executable, "-m", "sever", "train", "--device", "cpu"]
PATIENCE_SECONDS = 120.0


@pytest.fixture(scope="module")
def experiment(strip_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five epochs of three batches with dropout, a moving average, workers, and a checkpoint at every step."""
    path = tmp_path_factory.mktemp("experiment") / "killed.yml"
    settings = {
        "name": "killed",
        "data": {"root": str(strip_root)},
        "folds": {"share": 0.25},
        "model": {
            "encoder": "resnet18",
            "weights": "none",
            "decoder_channels": [16, 16, 8, 8, 8],
            "decoder_dropout": 0.2,
        },
        "augment": {"recipe": "heavy", "crop": [64, 64]},
        "train": {"epochs": 5, "batch_size": 4, "workers": 1, "checkpoint_steps": 1, "ema_decay": 0.9},
    }
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest.fixture(scope="module")
def uninterrupted(experiment: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    saved = tmp_path_factory.mktemp("whole")
    subprocess.run([*COMMAND, "-c", str(experiment), "--saved", str(saved)], check=True, capture_output=True)
    return history(run_folder(saved))


def run_folder(saved: Path) -> Path:
    (folder,) = (saved / "killed").iterdir()
    return folder


def history(run: Path) -> pd.DataFrame:
    """Every epoch's losses and scores to the last bit, which the CSV beside it may round."""
    last = max((run / "checkpoints").glob("epoch-*"))
    return pd.DataFrame(json.loads((last / "state.json").read_text())["history"]).drop(columns="seconds")


def finished_epochs(run: Path) -> int:
    return len(list((run / "checkpoints").glob("epoch-*")))


def writing_a_checkpoint(run: Path) -> bool:
    """The temporary folder of a checkpoint is there: the process is in the middle of writing it."""
    return any((run / "checkpoints").glob(".step-*.tmp")) and finished_epochs(run) >= 1


def in_the_middle_of_an_epoch(run: Path) -> bool:
    return any((run / "checkpoints").glob("step-*")) and finished_epochs(run) >= 2


def replacing_an_epochs_checkpoint(run: Path) -> bool:
    return any((run / "checkpoints").glob(".epoch-*.tmp")) and finished_epochs(run) >= 3


def kill_when(process: subprocess.Popen[bytes], saved: Path, moment: Callable[[Path], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        runs = list((saved / "killed").glob("*")) if (saved / "killed").is_dir() else []
        if runs and moment(runs[0]):
            os.killpg(process.pid, signal.SIGKILL)  # workers of the data loader too, as a power cut would
            process.wait()
            return
        time.sleep(0.0005)
    process.kill()
    raise AssertionError(f"the process ended with {process.poll()} before the moment to kill it came")


def test_history_is_the_same_as_without_kills(experiment: Path, uninterrupted: pd.DataFrame, tmp_path: Path) -> None:
    arguments = ["-c", str(experiment), "--saved", str(tmp_path)]
    for moment in (writing_a_checkpoint, in_the_middle_of_an_epoch, replacing_an_epochs_checkpoint):
        process = subprocess.Popen([*COMMAND, *arguments], start_new_session=True, stderr=subprocess.DEVNULL)
        kill_when(process, tmp_path, moment)
        arguments = ["-r", str(run_folder(tmp_path))]
    subprocess.run([*COMMAND, *arguments], check=True, capture_output=True)

    resumed = history(run_folder(tmp_path))
    assert resumed["epoch"].tolist() == [1, 2, 3, 4, 5]
    pd.testing.assert_frame_equal(resumed, uninterrupted, check_exact=True)
    leftovers = [path.name for path in (run_folder(tmp_path) / "checkpoints").glob(".*")]
    assert leftovers == []
