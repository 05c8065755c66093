"""`sever data doubts`: spoiled labels come first, pictures and tables are written, and a tool gets them as a task."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
import pytest
from command_line import quick_run, sever
from evidence_maker import make_evidence

from sever.config import DataSettings
from sever.data import rle
from sever.data.layouts import read_table

LARGE = 300  # pixels
SHIFT = 12
KINDS = ("missing", "swapped", "moved")


class Spoiled(NamedTuple):
    """A data set with wrong labels, evidence from when they were right, and which image has which fault."""

    root: Path
    evidence: Path
    faults: dict[str, str]


@pytest.fixture(scope="module")
def spoiled(strip_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Spoiled:
    root = tmp_path_factory.mktemp("doubts") / "data"
    shutil.copytree(strip_root, root)
    evidence = make_evidence(root.parent / "evidence", root, noise=0.1)
    table, _ = read_table(DataSettings(root=root))
    masks = {image_id: table.mask(row) for row, image_id in enumerate(table.image_ids)}
    large = [image_id for image_id, masks_chw in masks.items() if masks_chw.sum() > LARGE]
    faults = dict(zip(large, KINDS, strict=False))
    assert len(faults) == len(KINDS)
    texts = {
        f"{image_id}_{index + 1}": text
        for image_id, masks_chw in masks.items()
        for index, text in enumerate(rle.encode_masks(spoil(masks_chw, faults.get(image_id))))
    }
    pd.DataFrame(texts.items(), columns=["ImageId_ClassId", "EncodedPixels"]).to_csv(root / "train.csv", index=False)
    return Spoiled(root, evidence, faults)


def spoil(masks_chw: np.ndarray, fault: str | None) -> np.ndarray:
    if fault == "missing":
        return np.zeros_like(masks_chw)
    if fault == "swapped":
        return masks_chw[::-1]
    if fault == "moved":
        return max((moved(masks_chw, step) for step in (SHIFT, -SHIFT)), key=np.sum)  # the way that loses less
    return masks_chw


def moved(masks_chw: np.ndarray, step: int) -> np.ndarray:
    around = np.pad(masks_chw, ((0, 0), (0, 0), (abs(step), abs(step))))
    return around[:, :, abs(step) - step :][:, :, : masks_chw.shape[2]]


def test_spoiled_labels_come_first(spoiled: Spoiled, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "doubts"
    assert sever("data", "doubts", spoiled.evidence, "-o", output, "--json") == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers == json.loads((output / "doubts.json").read_text())
    assert numbers["images"] == 16
    for image_id, kind in spoiled.faults.items():
        assert numbers["kinds"][kind]["first"][0] == image_id, kind
    table = pd.read_csv(output / "doubts.csv", keep_default_na=False)
    assert table["score"].is_monotonic_decreasing
    assert not table.duplicated(["image", "kind"]).any()
    assert table["image"][0] in spoiled.faults
    assert (table.loc[table["kind"] == "swapped", "instead"] != "").all()
    assert cv2.imread(str(output / "doubts.png")) is not None


def test_it_is_told_in_words_and_lies_where_a_report_looks(
    spoiled: Spoiled, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sever("data", "doubts", spoiled.evidence, "--sheet", 0) == 0
    said = capsys.readouterr().out
    assert "16 labels" in said
    assert "sever data convert" in said
    folder = spoiled.evidence / "doubts"
    assert (folder / "doubts.json").is_file()
    assert not (folder / "doubts.png").exists()


@pytest.mark.parametrize("to", ["cvat", "label-studio"])
def test_a_tool_gets_the_first_of_them_in_their_order(spoiled: Spoiled, tmp_path: Path, to: str) -> None:
    assert sever("data", "doubts", spoiled.evidence, "-o", tmp_path / "doubts") == 0
    listed = tmp_path / "doubts" / "doubts.csv"
    words = ["data", "convert", spoiled.root, "-o", tmp_path / "task", "--to", to, "--listed", listed, "--first", 3]
    assert sever(*words) == 0
    wanted = list(dict.fromkeys(pd.read_csv(listed)["image"]))[:3]
    assert {path.name for path in (tmp_path / "task" / "images").iterdir()} == set(wanted)
    (text,) = (path.read_text() for path in (tmp_path / "task").glob("*.xml" if to == "cvat" else "*.json"))
    assert sorted(wanted, key=text.index) == wanted
    table, _ = read_table(DataSettings(root=tmp_path / "task"))
    assert set(table.image_ids) == set(wanted)


def test_a_list_that_says_nothing_useful(spoiled: Spoiled, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = tmp_path / "list.csv"
    words = ["data", "convert", spoiled.root, "-o", tmp_path / "task", "--to", "coco", "--listed", listed]
    cases = {"image\n": "names no image", "image\nnowhere.jpg\n": "nowhere.jpg", "name\na\n": "image"}
    for text, said in cases.items():
        listed.write_text(text)
        assert sever(*words) == 2
        assert said in capsys.readouterr().err
    assert sever(*words[:-2], "--first", 3) == 2
    assert "--listed" in capsys.readouterr().err


def test_a_runs_validation_images(strip_root: Path, tmp_path: Path) -> None:
    run = quick_run(tmp_path, "tiny", strip_root)
    assert sever("data", "doubts", run, "--device", "cpu") == 0
    validated = pd.read_csv(run / "folds.csv").query("part == 'validation'")["image_id"]
    assert json.loads((run / "doubts" / "doubts.json").read_text())["images"] == len(validated) == 4
    assert set(pd.read_csv(run / "doubts" / "doubts.csv")["image"]) <= set(validated)
