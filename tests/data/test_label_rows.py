"""Labels in a CSV as people write them: -1 for nothing, several rows a pair, classes by their names."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from format_files import areas, fault_of, read, save_images, save_text
from hypothesis import given
from hypothesis import strategies as st

from sever.config import DataSettings
from sever.data import rle
from sever.data.label_rows import _union
from sever.data.severstal import read_severstal
from sever.errors import InputError

SEPARATE = "ImageId,ClassId,EncodedPixels\n"
NAMED = "Image_Label,EncodedPixels\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    save_images(tmp_path / "train_images", "a_1.jpg", "b.jpg")
    return tmp_path


def write(root: Path, text: str) -> Path:
    save_text(root / "train.csv", text)
    return root


def test_minus_one_is_empty(root: Path) -> None:
    table = read(write(root, SEPARATE + "a_1.jpg,1,3 4\nb.jpg,1,-1\nb.jpg,2,1 5\na_1.jpg,2, -1 \n"))[0]
    assert areas(table) == {"a_1.jpg": [4, 0], "b.jpg": [0, 5]}


def test_several_rows_of_a_pair(root: Path) -> None:
    """Apart, touching and overlapping runs: pixels 1-4, 5-6 and 5-8, 20-21."""
    text = SEPARATE + "a_1.jpg,1,20 2 5 2\na_1.jpg,1,1 4\nb.jpg,1,9 1\na_1.jpg,1,5 4\n"
    assert "was in row 2 already" in fault_of(write(root, text))
    assert "not sorted" in fault_of(root, repeated_rows="join")  # within a row they have to be in order
    write(root, text.replace("20 2 5 2", "5 2 20 2"))
    table = read(root, repeated_rows="join")[0]
    assert table.frame["runs_0"].tolist() == ["1 8 20 2", "9 1"]


def test_rows_that_contradict_each_other(root: Path) -> None:
    write(root, SEPARATE + "a_1.jpg,1,1 4\na_1.jpg,1,-1\nb.jpg,1,\n")
    assert "rows 2 and 3 contradict" in fault_of(root, repeated_rows="join")
    assert read(root, repeated_rows="join", skip_bad=True)[0].image_ids == ["b.jpg"]
    write(root, SEPARATE + "a_1.jpg,1,1 4\nb.jpg,1,-1\nb.jpg,1,\n")
    assert areas(read(root, repeated_rows="join")[0])["b.jpg"] == [0]


@given(st.lists(st.lists(st.booleans(), min_size=12, max_size=12), min_size=1, max_size=4))
def test_joined_is_the_union(rows: list[list[bool]]) -> None:
    masks = [np.array(row, np.uint8).reshape(3, 4) for row in rows if any(row)]
    if masks:
        assert _union([rle.encode(mask_hw) for mask_hw in masks]) == rle.encode(np.maximum.reduce(masks))


def test_classes_by_name(root: Path) -> None:
    """File names and classes with underscores; rows of every pair, as in that competition."""
    text = NAMED + "a_1.jpg_rolled_in,1 4\na_1.jpg_Pit,\nb.jpg_rolled_in,-1\nb.jpg_Pit,3 2\n"
    table = read(write(root, text))[0]
    assert table.class_names == ("Pit", "rolled_in")
    assert areas(table) == {"a_1.jpg": [0, 4], "b.jpg": [2, 0]}
    (root / "classes.txt").write_text("rolled_in\nPit\n")
    assert areas(read(root)[0]) == {"a_1.jpg": [4, 0], "b.jpg": [0, 2]}
    (root / "classes.txt").write_text("Pit\n")
    assert "'rolled_in' is not one of Pit" in fault_of(root)


def test_named_rows_that_are_wrong(root: Path) -> None:
    assert "row 2" in fault_of(write(root, NAMED + "a_1.jpg,1 4\nb.jpg_Pit,\n"))
    assert "already" in fault_of(write(root, NAMED + "a_1.jpg_Pit,1 4\na_1.jpg_Pit,9 1\nb.jpg_Pit,\n"))
    assert areas(read(root, repeated_rows="join")[0])["a_1.jpg"] == [5]
    assert "c.jpg" in fault_of(write(root, NAMED + "c.jpg_Pit,1 4\n"))


def test_names_are_those_of_the_training_labels_whichever_labels_are_read(tmp_path: Path) -> None:
    """Of a few test images one class may show in none; the others must not move up."""
    for folder in ("train_images", "test_images"):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "a.png"), np.zeros((6, 10), np.uint8))
    (tmp_path / "train.csv").write_text(NAMED + "a.png_crack,1 1\na.png_pit,3 1\na.png_scab,5 1\n")
    labels = tmp_path / "test_labels.csv"
    labels.write_text(NAMED + "a.png_crack,1 1\na.png_scab,5 1\n")
    settings = DataSettings(root=tmp_path, layout="severstal", test_labels=labels)
    table, _ = read_severstal(settings, "test")
    assert table.class_names == ("crack", "pit", "scab")
    assert table.has_class()[0].tolist() == [True, False, True]
    labels.write_text(NAMED + "a.png_blister,1 1\n")
    with pytest.raises(InputError, match="class 'blister' is not one of crack, pit, scab"):
        read_severstal(settings, "test")
