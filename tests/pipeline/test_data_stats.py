"""`sever data stats`: a page that stands alone, the same numbers as JSON, two data sets side by side."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import sever

from sever.data.synthetic import SynthSettings, write_dataset


def test_page_and_numbers_of_one_data_set(strip_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "strip.html"
    assert sever("data", "stats", strip_root, "-o", page, "--json") == 0
    (one,) = json.loads(capsys.readouterr().out)["sets"]
    assert (one["images"], [each["name"] for each in one["classes"]]) == (16, ["1", "2", "3", "4"])
    assert sum(one["classes_an_image"].values()) == 16
    assert one["pixels"]["images"] == 16
    assert all(len(one["pixels"][name]) == 21 for name in ("brightness", "margins"))
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == sum(each["images"] > 0 for each in one["classes"]) + 5
    assert re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', text) == []
    assert "rules.min_pixels" in text


def test_two_data_sets_stand_side_by_side(strip_root: Path, tmp_path: Path) -> None:
    other = write_dataset(tmp_path / "other", SynthSettings(3, 1, 64, 128, seed=9, workers=1))
    page = tmp_path / "both.html"
    assert sever("data", "stats", strip_root, other, "-o", page) == 0
    text = page.read_text(encoding="utf-8")
    assert text.count("curve second") > 5
    assert "64 &times; 128" in text
    assert "64 &times; 192" in text


def test_names_of_classes_and_folders_are_text_on_the_page(strip_root: Path, tmp_path: Path) -> None:
    root = tmp_path / "<b>data"
    root.mkdir()
    for part in ("train_images", "train.csv"):
        (root / part).symlink_to(strip_root / part)
    (root / "classes.txt").write_text("<script>alert(1)</script>\n2\n3\n4\n")
    assert sever("data", "stats", root, "-o", tmp_path / "page.html") == 0
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<b>" not in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name the page to write"),
        (["-o", "page.pdf"], "the page is HTML"),
        (["--json", "more", "and-more"], "3 data sets were given"),
    ],
)
def test_what_can_not_be_done_is_said(
    strip_root: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert sever("data", "stats", strip_root, *words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("command", ["stats", "check", "shift"])
def test_what_is_left_out_is_counted_in_images(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two bad rows of one image are two faults, and one image less."""
    (tmp_path / "train_images").mkdir()
    rows = ["ImageId_ClassId,EncodedPixels"]
    for number, name in enumerate(("a.png", "b.png", "c.png")):
        pixels = np.random.default_rng(number).integers(0, 255, (48, 64), np.uint8)
        cv2.imwrite(str(tmp_path / "train_images" / name), pixels)
        rows += [f"{name}_{index},{'x' if name == 'a.png' else '1 5'}" for index in (1, 2)]
    (tmp_path / "train.csv").write_text("\n".join(rows) + "\n")
    words = {
        "stats": [tmp_path, "--json"],
        "check": [tmp_path, "-o", tmp_path / "out"],
        "shift": [tmp_path, tmp_path, "-o", tmp_path / "out"],
    }
    sever("data", command, *words[command], "--skip-bad")
    assert "left out 1 image" in capsys.readouterr().err.replace("\n", " ")
