"""`sever data check`: groups that the folds use, pairs that are told, masks that differ, parts that share images."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from command_line import sever

from sever.config import DataSettings, FoldSettings
from sever.data.folds import assign_folds
from sever.data.layouts import read_table


def steel(seed: int) -> np.ndarray:
    grain = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 60, (96, 128)), (0, 0), 1.5)
    return np.clip(110 + grain, 0, 255).astype(np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten images; training/1 comes again as test/1 (mirrored, labels too) and as training/9 (its defect unlabelled)."""
    root = tmp_path / "data"
    for folder in ("images/training", "images/test", "masks/training", "masks/test"):
        (root / folder).mkdir(parents=True)
    (root / "classes.txt").write_text("pit\nscratch\n")
    mask = np.zeros((96, 128), np.uint8)
    mask[20:40, 30:60] = 2
    for index in range(8):
        put(root, f"training/{index}", steel(index), mask)
    put(root, "test/1", steel(1)[:, ::-1], mask[:, ::-1])
    put(root, "training/9", steel(1), np.zeros_like(mask))
    return root


def put(root: Path, name: str, image: np.ndarray, mask: np.ndarray) -> None:
    assert cv2.imwrite(str(root / "images" / f"{name}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 85])
    assert cv2.imwrite(str(root / "masks" / f"{name}.png"), mask)


def test_pairs_groups_masks_and_parts(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "checked"
    assert sever("data", "check", root, "-o", output, "--json") == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers == json.loads((output / "check.json").read_text())
    assert (numbers["images"], numbers["groups"], numbers["largest_group"]) == (10, 8, 3)
    assert (numbers["equal_pairs"], numbers["near_pairs"]) == (1, 2)
    assert (numbers["pairs_across_parts"], numbers["pairs_with_different_masks"]) == (2, 2)
    pairs = pd.read_csv(output / "duplicates.csv").set_index(["image", "other"])
    assert set(pairs.index) == {
        ("test/1.jpg", "training/1.jpg"),
        ("test/1.jpg", "training/9.jpg"),
        ("training/1.jpg", "training/9.jpg"),
    }
    assert pairs.loc[("test/1.jpg", "training/1.jpg"), ["turn", "mask_dice", "across"]].tolist() == [
        "left-right",
        1,
        True,
    ]
    assert pairs.loc[("training/1.jpg", "training/9.jpg"), ["equal", "mask_dice", "across"]].tolist() == [
        True,
        0,
        False,
    ]
    assert cv2.imread(str(output / "pairs.png")) is not None


def test_the_folds_keep_the_groups_together(root: Path, tmp_path: Path) -> None:
    assert sever("data", "check", root, "-o", tmp_path / "checked") == 0
    table, _ = read_table(DataSettings(root=root, groups=tmp_path / "checked" / "groups.csv"))
    folds = dict(zip(table.image_ids, assign_folds(table, FoldSettings(scheme="kfold", count=4)).tolist(), strict=True))
    assert folds["test/1.jpg"] == folds["training/1.jpg"] == folds["training/9.jpg"]
    assert len(set(folds.values())) == 4


def test_what_is_found_is_told_with_what_to_do(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sever("data", "check", root, "-o", tmp_path / "checked") == 0
    told = capsys.readouterr().out
    assert "2 pairs lie in two parts of the data set: test and training" in told
    assert f"data.groups: {tmp_path / 'checked' / 'groups.csv'}" in told


def test_test_images_of_the_severstal_layout_take_part(strip_root: Path, tmp_path: Path) -> None:
    root = tmp_path / "strip"
    (root / "test_images").mkdir(parents=True)
    (root / "train_images").symlink_to(strip_root / "train_images")
    (root / "train.csv").symlink_to(strip_root / "train.csv")
    stolen = sorted((strip_root / "train_images").iterdir())[3]
    (root / "test_images" / "other-name.jpg").write_bytes(stolen.read_bytes())
    assert sever("data", "check", root, "-o", tmp_path / "checked") == 0
    pairs = pd.read_csv(tmp_path / "checked" / "duplicates.csv")
    assert pairs[["image", "other"]].to_numpy().tolist() == [[stolen.name, "test_images/other-name.jpg"]]
    assert pairs["across"].tolist() == [True]
    assert pairs["mask_dice"].isna().all()


@pytest.mark.parametrize("overlap", ["0.4", "1.1"])
def test_an_overlap_out_of_range_is_refused(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], overlap: str
) -> None:
    assert sever("data", "check", root, "-o", tmp_path / "checked", "--overlap", overlap) == 2
    assert "0.5 to 1" in capsys.readouterr().err
    assert not (tmp_path / "checked").exists()
