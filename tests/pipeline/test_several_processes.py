"""Two processes train one network together: one run, told once, its pseudo-labels shared out, resumed by both."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from command_line import sever

pytest.importorskip("torch.distributed")


def together(*words: object) -> subprocess.CompletedProcess[str]:
    """`sever` in two processes by torchrun, which talk over loopback."""
    launch = [
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-addr",
        "127.0.0.1",
        "--master-port",
        "0",
    ]
    launch += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", "--local-addr", "127.0.0.1"]
    command = [sys.executable, *launch, "-m", "sever", *map(str, words), "--device", "cpu"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def experiment(tiny_experiment: Path, strip_root: Path) -> Path:
    """Of 12 images that train, 2 processes take 2 x 3 at a time, 1 of 3 pseudo-labelled."""
    values = yaml.safe_load(tiny_experiment.read_text())
    sure = tiny_experiment.parent / "pseudo.csv"
    rows = [f"{path.name},{number},,1" for path in (strip_root / "test_images").iterdir() for number in range(1, 5)]
    sure.write_text("ImageId,ClassId,EncodedPixels,Confidence\n" + "\n".join(rows) + "\n")
    values["pseudo"] = {"labels": str(sure), "images": str(strip_root / "test_images"), "share": 0.34}
    values["train"] |= {"batch_size": 3, "epochs": 1}
    tiny_experiment.write_text(yaml.safe_dump(values))
    return tiny_experiment


def test_two_processes_leave_one_run(experiment: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    done = together("train", "-c", experiment, "--saved", saved)
    assert done.returncode == 0, done.stderr
    (run,) = (saved / "tiny").iterdir()
    assert done.stdout.split() == [str(run)]
    assert done.stderr.count("images train") == 1
    assert done.stderr.count("epoch 1/1  loss") == 1
    assert len(pd.read_csv(run / "history.csv")) == 1
    assert len(list((run / "tensorboard").iterdir())) == 1
    # What one process scores of it is what the two have scored.
    assert sever("evaluate", "-r", saved / "tiny", "-o", tmp_path / "scored", "--device", "cpu") == 0
    again = together("train", "-r", saved / "tiny")
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("nothing is left to train") == 1
    assert len(list((saved / "tiny").iterdir())) == 1


def test_too_few_images_for_so_many_processes(experiment: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(experiment.read_text())
    values["train"]["batch_size"] = 12
    experiment.write_text(yaml.safe_dump(values))
    done = together("train", "-c", experiment, "--saved", tmp_path / "saved")
    assert done.returncode != 0
    assert "images train, but 2 processes take 24 at a time" in done.stderr
    assert not (tmp_path / "saved").exists()
