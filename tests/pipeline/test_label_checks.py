"""Labels that are proper but can't be learnt as they are, and labels that are edited under a run."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import quick_run, sever

from sever.config import load_config, parse_config
from sever.data import rle
from sever.data.table import ImageTable
from sever.errors import InputError
from sever.pipeline.crossval import run_fold, start
from sever.pipeline.label_checks import tell_doubts
from sever.seals import NOTES
from sever.store import Run

HEADER = "ImageId,ClassId,EncodedPixels\n"


def table_of(*masks: np.ndarray) -> ImageTable:
    """One image a class, and one with all of them."""
    runs = [rle.encode(mask_hw) for mask_hw in masks]
    frame = pd.DataFrame({"image_id": ["a"], "height": [4], "width": [5]})
    for index, text in enumerate(runs):
        frame[f"runs_{index}"] = [text]
    return ImageTable(frame, tuple(f"c{index}" for index in range(len(runs))))


LEFT, TOP = np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint8)
LEFT[:, :2] = TOP[:1] = 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"loss": {"name": "ce_dice"}}, ["loss.name ce_dice", "rules.overlap: highest_probability"]),
        ({"loss": {"name": "lovasz_softmax"}, "rules": {"overlap": "allow"}}, ["loss.name lovasz_softmax"]),
        ({"rules": {"overlap": "larger_component"}}, ["rules.overlap: larger_component"]),
        ({"rules": {"overlap": "allow"}}, []),
        ({"model": {"task": "classify"}}, []),
    ],
)
def test_overlaps_that_this_experiment_can_not_learn(
    settings: dict[str, object], said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    config = parse_config({"name": "x", "data": {"root": "."}, **settings}, "test")
    tell_doubts(config, table_of(LEFT, TOP))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(said)
    for line, words in zip(lines, said, strict=True):
        assert "in 1 of 1 images classes overlap (first: a, classes 1 and 2 at pixel 1)" in line
        assert words in line
    tell_doubts(config, table_of(LEFT, TOP * 0))
    assert capsys.readouterr().err == ""


def test_background_as_a_class(strip_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tell_doubts(parse_config({"name": "x", "data": {"root": str(strip_root)}}, "test"), table_of(1 - TOP, TOP))
    assert "class c0 covers 75% of all pixels" in capsys.readouterr().err


def rewrite(root: Path, changed: str | None = None, combined: bool = False) -> None:
    """The labels of a data set in the other form, and another mask of the image `changed`."""
    rows = pd.read_csv(root / "train.csv", keep_default_na=False)
    rows["ImageId"] = rows["ImageId_ClassId"].str.rpartition("_")[0]
    rows["ClassId"] = rows["ImageId_ClassId"].str.rpartition("_")[2]
    if changed:
        rows.loc[(rows["ImageId"] == changed) & (rows["ClassId"] == "1"), "EncodedPixels"] = "1 7"
    kept = rows if combined else rows[rows["EncodedPixels"] != ""]
    columns = ["ImageId_ClassId", "EncodedPixels"] if combined else ["ImageId", "ClassId", "EncodedPixels"]
    kept[columns].to_csv(root / "train.csv", index=False)


def test_labels_edited_before_a_resume(strip_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    shutil.copytree(strip_root, root)
    run = quick_run(tmp_path, "edited", root)
    digests = Run(run).label_digests()
    assert len(digests) == 16
    assert all(len(digest) == 16 for digest in digests.values())
    before = (root / "train.csv").read_text()
    rewrite(root)  # the same labels in the other form
    assert sever("train", "-r", run, "--device", "cpu") == 0
    for part in ("train", "validation"):
        (root / "train.csv").write_text(before)
        image_id = Run(run).part(part)[0]
        rewrite(root, changed=image_id)
        capsys.readouterr()
        assert sever("train", "-r", run, "--device", "cpu") == 2
        told = capsys.readouterr().err
        assert f"the labels of 1 image have changed since {run} began: {image_id}; put the old labels back" in told


def test_a_run_that_kept_no_digests_goes_on(strip_root: Path, tmp_path: Path) -> None:
    run = quick_run(tmp_path, "old", strip_root)
    folds = pd.read_csv(run / "folds.csv", dtype=str, keep_default_na=False)
    folds.drop(columns="labels").to_csv(run / "folds.csv", index=False)
    (run / NOTES).unlink()  # nor were tables sealed then
    assert sever("train", "-r", run, "--device", "cpu") == 0


def test_labels_edited_between_the_folds(strip_root: Path, tiny_experiment: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    shutil.copytree(strip_root, root)
    tiny_experiment.write_text(tiny_experiment.read_text().replace(str(strip_root), str(root)))
    evidence = start(load_config(tiny_experiment), tmp_path / "saved")
    rewrite(root, changed=evidence.read_folds()["image_id"].iat[0])
    with pytest.raises(InputError, match="labels of 1 image have changed since the cross-validation began"):
        run_fold(evidence, 0, "cpu")
    assert not evidence.fold_folder(0).exists()
