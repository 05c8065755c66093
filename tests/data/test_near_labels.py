"""Label files that are named, or separated, a little differently: read, or named in the error; never taken for none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from format_files import HEIGHT, WIDTH, areas, fault_of, read, save, save_images, save_json, save_text

SQUARE = "0 0.1 0.1 0.6 0.1 0.6 0.6 0.1 0.6\n"


def yolo(root: Path, *labels: str) -> Path:
    save_images(root / "images", "a.jpg", "b.jpg")
    save_text(root / "data.yaml", "names: [pit]\n")
    for name in labels:
        save_text(root / "labels" / name, SQUARE)
    return root


@pytest.mark.parametrize("name", ["A.txt", "A.TXT", "sub/a.txt"])
def test_yolo_labels_of_a_near_name_are_never_taken_for_clean(tmp_path: Path, name: str) -> None:
    root = yolo(tmp_path, "b.txt", name)
    assert "a.jpg is there, which differs in" in fault_of(root)
    assert f"{root}/labels/{name} annotates it" in fault_of(root, missing_mask="clean")
    table, _ = read(root, missing_mask="clean", skip_bad=True)
    assert list(areas(table)) == ["b.jpg"]


def test_yolo_labels_of_no_image(tmp_path: Path) -> None:
    root = yolo(tmp_path, "a.txt", "b.txt", "gone.txt")
    assert "image gone: " in fault_of(root)
    (root / "labels" / "gone.txt").rename(root / "labels" / "classes.txt")  # as labelImg leaves it there
    assert len(read(root)[0]) == 2


def test_yolo_labels_that_keep_the_image_suffix(tmp_path: Path) -> None:
    assert all(areas(read(yolo(tmp_path, "a.jpg.txt", "b.txt"))[0]).values())


def test_suffixes_in_capital_letters(tmp_path: Path) -> None:
    save_images(tmp_path, "a.jpg")
    corners = [[1, 1], [5, 1], [5, 5], [1, 5]]
    shape = {"label": "pit", "shape_type": "polygon", "points": corners}
    save_json(tmp_path / "a.JSON", {"imagePath": "a.jpg", "shapes": [shape]})
    assert areas(read(tmp_path)[0])["a.jpg"][0] > 0


def test_endings_of_masks_in_any_case(tmp_path: Path) -> None:
    save_images(tmp_path, "a.jpg")
    save(tmp_path / "a_Mask.png", np.ones((HEIGHT, WIDTH)))
    save_text(tmp_path / "classes.txt", "pit\n")
    assert areas(read(tmp_path)[0]) == {"a.jpg": [HEIGHT * WIDTH]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image;classes\na.jpg;pit\n", "separated by semicolons (image;classes)"),
        ("filename\tlabel\na.jpg\tpit\n", "separated by tabs"),
        ('"image_id"|"scratch"|"pit"\na.jpg|0|1\n', "separated by vertical bars"),
        ("Image,Classes\na.jpg,pit\n", "Image is there, which differs in case"),
    ],
)
def test_a_table_of_labels_that_can_not_be_read_is_recognised(tmp_path: Path, text: str, words: str) -> None:
    save_images(tmp_path / "images", "a.jpg")
    save_text(tmp_path / "labels.csv", text)
    assert words in fault_of(tmp_path)


def test_a_layout_with_folders_of_near_names(tmp_path: Path) -> None:
    save_images(tmp_path / "Images", "a.jpg")
    save(tmp_path / "Masks" / "a.png", np.ones((HEIGHT, WIDTH)))
    assert "; for images, Images is there, which differs in case; for masks, Masks is there" in fault_of(tmp_path)
