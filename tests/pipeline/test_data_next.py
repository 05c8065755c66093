"""`sever data next`: chosen from the pool, without what is labelled already, as a list that convert takes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import pandas as pd
import pytest
from command_line import sever
from run_maker import make_run


@pytest.fixture(scope="module")
def run(strip_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("next") / "tiny" / "20260101-000000", strip_root)


def test_new_images_are_chosen_and_labelled_ones_are_not(
    run: Path, strip_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = tmp_path / "pool"
    shutil.copytree(strip_root / "test_images", pool)
    for known in sorted((strip_root / "train_images").iterdir())[:4]:
        shutil.copyfile(known, pool / f"again-{known.name}")  # another name, the same steel
    out = tmp_path / "out"
    words = ["data", "next", run, "--images", pool, "-o", out, "-n", 3, "--device", "cpu"]
    assert sever(*words, "--json") == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers == json.loads((out / "next.json").read_text())
    assert (numbers["pool"], numbers["known"], numbers["chosen"]) == (6, 4, 3)
    table = pd.read_csv(out / "next.csv")
    assert set(table["image"]) <= {path.name for path in (strip_root / "test_images").iterdir()}
    assert table["uncertainty"].is_monotonic_decreasing
    assert table["uncertainty"].between(0, 1).all()
    assert cv2.imread(str(out / "next.png")) is not None
    assert sever(*words) == 0
    assert "--listed" in capsys.readouterr().out

    assert sever("predict", "-r", run, "--images", pool, "-o", tmp_path / "predicted", "--device", "cpu") == 0
    convert = ["data", "convert", pool, "-o", tmp_path / "task", "--to", "cvat", "-r", run]
    assert sever(*convert, "--predictions", tmp_path / "predicted", "--listed", out / "next.csv") == 0
    assert {path.name for path in (tmp_path / "task" / "images").iterdir()} == set(table["image"])


def test_a_pool_that_is_labelled_already(
    run: Path, strip_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "next", run, "--images", strip_root / "train_images", "-o", tmp_path / "out", "--device", "cpu"]
    assert sever(*words) == 2
    assert "nothing is left to label" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
