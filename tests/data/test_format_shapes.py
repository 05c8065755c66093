"""labelme's JSON and YOLO's text: by hand, and what is wrong with them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from format_files import areas, fault_of, read, save_images, save_json, save_text

from sever.data import mask_pixels


def labelme(name: str, *shapes: dict[str, Any], **values: Any) -> dict[str, Any]:
    size = {"imageHeight": 8, "imageWidth": 10}
    return (
        {"version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": name, "imageData": None} | size | values
    )


def shape(label: str, points: list[list[float]], kind: str = "polygon", **values: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}, **values}


PICTURE = base64.b64encode(cv2.imencode(".png", np.array([[255, 0], [255, 255]], np.uint8))[1].tobytes()).decode()
SHAPES = [
    shape("scratch", [[0, 0], [3, 0], [3, 2], [0, 2]]),  # 6
    shape("pit", [[9, 8], [7, 5]], "rectangle"),  # 6, its corners in any order
    shape("scratch", [[5, 4], [5, 2]], "circle"),  # 12, radius 2
    shape("pit", [[0, 6], [1, 7]], "mask", mask=PICTURE),  # 3
]


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    save_images(tmp_path / "coil", "a.png", "b.png")
    save_json(tmp_path / "coil" / "a.json", labelme("..\\old place\\a.png", *SHAPES))
    save_json(tmp_path / "coil" / "b.json", labelme("b.png"))
    return tmp_path


def test_labelme_by_hand(beside: Path) -> None:
    table = read(beside)[0]
    assert table.class_names == ("pit", "scratch")
    assert areas(table) == {"coil/a.png": [9, 18], "coil/b.png": [0, 0]}
    assert table.mask(0)[0, 6:, :2].tolist() == [[1, 0], [1, 1]]


def test_a_turned_rectangle_of_labelme_is_its_four_corners(beside: Path) -> None:
    corners = [[2.0, 1.0], [5.0, 1.0], [5.0, 3.0], [2.0, 3.0]]
    save_json(beside / "coil" / "a.json", labelme("a.png", shape("pit", corners, "oriented_rectangle")))
    assert areas(read(beside)[0])["coil/a.png"] == [6]


def test_a_picture_larger_than_its_image_is_not_unpacked(beside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few kilobytes may claim 200 million pixels, and a file may hold a thousand of them."""
    large = base64.b64encode(cv2.imencode(".png", np.zeros((2_000, 3_000), np.uint8))[1].tobytes()).decode()
    decoded, decode = list[np.ndarray](), mask_pixels.decode_stored
    monkeypatch.setattr(mask_pixels, "decode_stored", lambda *given: decoded.append(decode(*given)) or decoded[-1])
    shapes = [shape("pit", [[0, 0], [1, 1]], "mask", mask=large)] * 3
    save_json(beside / "coil" / "a.json", labelme("a.png", *shapes))
    fault = fault_of(beside)
    assert "coil/a.png" in fault
    assert "too large" in fault
    assert decoded == []


def test_labels_that_differ_in_their_spelling_are_told(beside: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_json(beside / "coil" / "b.json", labelme("b.png", SHAPES[0] | {"label": "Scratch "}))
    assert read(beside)[0].class_names == ("Scratch ", "pit", "scratch")
    assert "'Scratch ' and 'scratch' are two classes here" in caplog.text


def test_an_image_without_labelme_file(beside: Path) -> None:
    (beside / "coil" / "b.json").unlink()
    assert "coil/b.png" in fault_of(beside)
    assert areas(read(beside, missing_mask="clean")[0])["coil/b.png"] == [0, 0]


LABELME_FAULTS: dict[str, tuple[Any, list[str]]] = {
    "a line": (shape("pit", [[1, 1], [2, 2]], "line"), ["shape 1", "'line' has no area", "polygon"]),
    "two points": (shape("pit", [[1, 1], [2, 2]]), ["shape 1", "3 points"]),
    "no label": ({"points": [], "shape_type": "polygon"}, ["shape 1", "`label`", "missing"]),
    "no picture": (shape("pit", [[0, 0], [1, 1]], "mask", mask="!!"), ["shape 1", "can't be read"]),
    "picture outside": (shape("pit", [[9, 7], [10, 8]], "mask", mask=PICTURE), ["shape 1", "inside the image"]),
    "no shape": (7, ["shape 1", "not an object"]),
}


@pytest.mark.parametrize("kind", LABELME_FAULTS)
def test_labelme_faults(beside: Path, kind: str) -> None:
    bad, words = LABELME_FAULTS[kind]
    save_json(beside / "coil" / "a.json", labelme("a.png", bad))
    fault = fault_of(beside)
    for word in [*words, "a.json", "coil/a.png"]:
        assert word in fault
    save_json(beside / "coil" / "b.json", labelme("b.png", SHAPES[0]))
    assert read(beside, skip_bad=True)[0].image_ids == ["coil/b.png"]


def test_labelme_damaged_file_never_means_clean(beside: Path) -> None:
    (beside / "coil" / "a.json").write_text("{")
    save_json(beside / "coil" / "b.json", labelme("b.png", SHAPES[0]))
    assert read(beside, skip_bad=True)[0].image_ids == ["coil/b.png"]
    assert read(beside, skip_bad=True, missing_mask="clean")[0].image_ids == ["coil/b.png"]


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    save_images(tmp_path / "images" / "train", "a.png", "b.png")
    save_text(tmp_path / "labels" / "train" / "a.txt", "1 0 0 0.3 0 0.3 0.25 0 0.25\n\n0 0.5 0.5 0.7 0.5 0.7 1 0.5 1\n")
    save_text(tmp_path / "labels" / "train" / "b.txt", "")
    save_text(tmp_path / "data.yaml", "path: .\ntrain: images/train\nnc: 2\nnames: [pit, scratch]\n")
    return tmp_path


def test_yolo_by_hand(yolo: Path) -> None:
    table = read(yolo)[0]
    assert table.class_names == ("pit", "scratch")
    assert areas(table) == {"train/a.png": [8, 6], "train/b.png": [0, 0]}  # 2 x 4 and 3 x 2


def test_yolo_names_by_number_and_other_folders(yolo: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    save_text(yolo / "data.yaml", "names:\n  0: pit\n  1: scratch\n")
    assert areas(read(yolo)[0])["train/a.png"] == [8, 6]
    other = tmp_path_factory.mktemp("roboflow")
    save_images(other / "valid" / "images", "a.png")
    save_text(other / "valid" / "labels" / "a.txt", "0 0.5 0.5 0.7 0.5 0.7 1 0.5 1\n")
    save_text(other / "data.yaml", "names: [pit]\n")
    assert areas(read(other)[0]) == {"valid/a.png": [8]}


YOLO_FAULTS = {
    "a box": ("0 0.5 0.5 0.2 0.5", ["row 1", "data.boxes: fill"]),
    "no class": ("2 0 0 0.3 0 0.3 0.25", ["row 1", "'2' is not a class", "0..1"]),
    "a long number": ("0000000009 0 0 0.3 0 0.3 0.25", ["row 1", "'0000000009' is not a class"]),
    "a name": ("pit 0 0 0.3 0 0.3 0.25", ["row 1", "'pit' is not a class"]),
    "odd": ("0 0 0 0.3 0 0.3", ["row 1", "pairs"]),
    "pixels": ("0 0 0 3 0 3 2 0 2", ["row 1", "from 0 to 1"]),
    "words": ("0 0 0 x 0 0.3 0.25", ["row 1", "numbers"]),
    "nan": ("0 0 0 nan 0 0.3 0.25", ["row 1"]),
}


@pytest.mark.parametrize("kind", YOLO_FAULTS)
def test_yolo_faults(yolo: Path, kind: str) -> None:
    line, words = YOLO_FAULTS[kind]
    save_text(yolo / "labels" / "train" / "a.txt", line + "\n")
    fault = fault_of(yolo)
    for word in [*words, "a.txt", "train/a.png"]:
        assert word in fault
    assert read(yolo, skip_bad=True)[0].image_ids == ["train/b.png"]


def test_a_yaml_of_another_name_is_told(yolo: Path) -> None:
    (yolo / "data.yaml").rename(yolo / "steel.yaml")
    assert "is it steel.yaml? Then rename it to data.yaml" in fault_of(yolo)


def test_yolo_boxes_may_be_filled(yolo: Path) -> None:
    save_text(yolo / "labels" / "train" / "a.txt", "0 0.5 0.5 0.2 0.5\n")
    assert areas(read(yolo, boxes="fill")[0])["train/a.png"] == [8, 0]


def test_yolo_without_text_is_told(yolo: Path) -> None:
    (yolo / "labels" / "train" / "b.txt").unlink()
    assert "data.missing_mask: clean" in fault_of(yolo)
    assert areas(read(yolo, missing_mask="clean")[0])["train/b.png"] == [0, 0]


@pytest.mark.parametrize(
    "text",
    [
        "names: 3\n",
        "names: {0: pit, 2: scratch}\n",
        "names: [pit, pit]\n",
        "nc: 2\n",
        "nc: 3\nnames: [pit, scratch]\n",
        "names: []\n",
    ],
)
def test_yolo_names_that_are_none(yolo: Path, text: str) -> None:
    save_text(yolo / "data.yaml", text)
    assert "names" in fault_of(yolo)


def test_yolo_names_and_classes_txt_disagree(yolo: Path) -> None:
    (yolo / "classes.txt").write_text("scratch\npit\n")
    assert "classes.txt" in fault_of(yolo)
