"""Two processes train one network together: one run, told once, its pseudo-labels shared out, resumed by both."""

from __future__ import annotations

import shutil
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


def history(saved: Path) -> pd.DataFrame:
    (run,) = (saved / "tiny").iterdir()
    return pd.read_csv(run / "history.csv").filter(regex="epoch|loss|bce|dice")


def test_two_processes_learn_what_one_does_with_their_batch(experiment: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(experiment.read_text())
    values["train"] |= {"epochs": 2, "precision": "no"}
    experiment.write_text(yaml.safe_dump(values))
    two, resumed, one = (tmp_path / name for name in ("two", "resumed", "one"))
    assert together("train", "-c", experiment, "--saved", two).returncode == 0
    # Stopped after an epoch in two processes, gone on with in one.
    more = ["--set", "train.stop_epoch=1"]
    assert together("train", "-c", experiment, "--saved", resumed, *more).returncode == 0
    assert sever("train", "-r", resumed / "tiny", "--epochs", "2", "--device", "cpu") == 0
    pd.testing.assert_frame_equal(history(resumed), history(two), rtol=1e-3)
    # From the start in one; pseudo-labelled images are a share of each process's batch, so they are left out.
    values["train"]["batch_size"], values["pseudo"] = 6, None
    experiment.write_text(yaml.safe_dump(values))
    assert sever("train", "-c", experiment, "--saved", one, "--device", "cpu") == 0
    values["train"]["batch_size"] = 3
    experiment.write_text(yaml.safe_dump(values))
    shutil.rmtree(two)
    assert together("train", "-c", experiment, "--saved", two).returncode == 0
    pd.testing.assert_frame_equal(history(two), history(one), rtol=1e-3)


def test_a_step_that_so_many_processes_cannot_share(experiment: Path, tmp_path: Path) -> None:
    more = ["--set", "train.epochs=2", "--set", "train.stop_epoch=1", "--set", "train.batch_size=5"]
    assert sever("train", "-c", experiment, "--saved", tmp_path, "--device", "cpu", *more) == 0
    done = together("train", "-r", tmp_path / "tiny", "--epochs", "2")
    assert done.returncode != 0
    assert "takes 5 images a step, which 2 processes can't share evenly" in done.stderr


def test_too_few_images_for_so_many_processes(experiment: Path, tmp_path: Path) -> None:
    values = yaml.safe_load(experiment.read_text())
    values["train"]["batch_size"] = 12
    experiment.write_text(yaml.safe_dump(values))
    done = together("train", "-c", experiment, "--saved", tmp_path / "saved")
    assert done.returncode != 0
    assert "images train, but 2 processes take 24 at a time" in done.stderr
    assert not (tmp_path / "saved").exists()
