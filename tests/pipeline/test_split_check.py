"""Copies on both sides of a split are told before training, with the command that mends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from command_line import sever, train

COPIES = "show the same steel on both sides of the split"


def steel(seed: int) -> np.ndarray:
    grain = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 60, (96, 128)), (0, 0), 1.5)
    return np.clip(110 + grain, 0, 255).astype(np.uint8)


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """Six places, each seen twice, the second time mirrored: six images of twelve are held out."""
    root = tmp_path / "data"
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    (root / "classes.txt").write_text("pit\n")
    mask = np.zeros((96, 128), np.uint8)
    mask[20:40, 30:60] = 1
    for place in range(6):
        for view, turned in enumerate((steel(place), steel(place)[:, ::-1])):
            assert cv2.imwrite(str(root / "images" / f"{place}-{view}.png"), turned)
            assert cv2.imwrite(str(root / "masks" / f"{place}-{view}.png"), mask)
    settings: dict[str, Any] = {
        "name": "tiny",
        "data": {"root": str(root)},
        "folds": {"share": 0.5},
        "model": {"encoder": "resnet18", "weights": "none", "decoder_channels": [16, 16, 8, 8, 8]},
        "augment": {"recipe": "none", "crop": [32, 32]},
        "train": {"epochs": 1, "batch_size": 4, "workers": 0, "precision": "no"},
    }
    path = tmp_path / "tiny.yml"
    path.write_text(yaml.safe_dump(settings))
    return path


def test_copies_are_told_and_the_command_mends_them(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(experiment) == 0
    said = capsys.readouterr().err
    assert COPIES in said
    command = next(part for part in said.split(": ") if part.startswith("sever data check")).split(", then")[0]
    words = command.replace("-o checked", f"-o {tmp_path / 'checked'}").split()
    assert sever(*words[1:]) == 0
    assert train(experiment, "--set", f"data.groups={tmp_path / 'checked' / 'groups.csv'}") == 0
    assert COPIES not in capsys.readouterr().err


def test_nothing_is_told_where_the_split_is_honest_or_the_look_is_turned_off(
    experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(experiment, "--set", "folds.find_copies=false") == 0
    assert COPIES not in capsys.readouterr().err
    assert train(experiment, "--set", "data.include=['*-0.png']") == 0
    assert COPIES not in capsys.readouterr().err


def test_a_cross_validation_tells_it_once(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = experiment.parent / "saved"
    words = ("--set", "folds.count=2", "--saved", saved, "--device", "cpu", "--jobs", "1")
    assert sever("crossval", "-c", experiment, *words) == 0
    assert capsys.readouterr().err.count(COPIES) == 1
