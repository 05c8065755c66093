"""COCO's instances: by hand, each kind of segmentation, what is missing and what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from format_files import areas, box, fault_of, read, save_images, save_json, save_text

CATEGORIES = [{"id": 7, "name": "scratch"}, {"id": 3, "name": "pit"}]


def coco(annotations: list[dict[str, Any]], names: tuple[str, ...] = ("a.png", "b.png")) -> dict[str, Any]:
    images = [{"id": 10 + at, "file_name": name, "height": 8, "width": 10} for at, name in enumerate(names)]
    return {"images": images, "categories": CATEGORIES, "annotations": annotations}


def annotation(number: int, **values: Any) -> dict[str, Any]:
    return {"id": number, "image_id": 10, "category_id": 3, "iscrowd": 0, **values}


POLYGONS = annotation(1, segmentation=[box(0, 0, 3, 2), box(5, 5, 7, 8)])  # 6 + 6
# 8 high: columns 0 and 1 are off, 3 pixels of column 2 are on, and again the first of column 4.
PLAIN = annotation(2, category_id=7, iscrowd=1, segmentation={"size": [8, 10], "counts": [16, 3, 13, 1, 47]})
LETTERS = annotation(3, category_id=7, segmentation={"size": [8, 10], "counts": "`03m0N_1"})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    save_images(tmp_path / "images", "a.png", "b.png")
    save_json(tmp_path / "annotations" / "instances.json", coco([POLYGONS, PLAIN]))
    return tmp_path


def test_areas_by_hand(root: Path) -> None:
    table, skipped = read(root)
    assert skipped == []
    assert table.class_names == ("pit", "scratch")  # in the order of their numbers
    assert areas(table) == {"a.png": [12, 4], "b.png": [0, 0]}
    mask_hw = table.mask(0)[1]
    assert mask_hw[0:3, 2].tolist() == [1, 1, 1]
    assert mask_hw[0, 4] == 1
    assert read(root, split="test")[0].has_class().sum() == 0


def test_classes_txt_gives_the_order(root: Path) -> None:
    (root / "classes.txt").write_text("scratch\ndent\npit\n")
    assert areas(read(root)[0]) == {"a.png": [4, 0, 12], "b.png": [0, 0, 0]}
    (root / "classes.txt").write_text("scratch\ndent\n")
    assert "'pit' is not a class" in fault_of(root)


def test_letters_are_the_same_as_numbers(root: Path) -> None:
    from sever.data.formats.counts import letters_of_counts

    LETTERS["segmentation"]["counts"] = letters_of_counts([16, 3, 13, 1, 47])
    save_json(root / "annotations" / "instances.json", coco([POLYGONS, LETTERS]))
    assert areas(read(root)[0])["a.png"] == [12, 4]


def test_folders_of_roboflow(tmp_path: Path) -> None:
    """A file beside the images of each part; equal names are two images; the super-category goes."""
    categories = [
        {"id": 0, "name": "steel", "supercategory": "none"},
        {"id": 1, "name": "pit", "supercategory": "steel"},
    ]
    for part, right in (("train", 3), ("valid", 5)):
        save_images(tmp_path / part, "a.png")
        content = coco([annotation(1, category_id=1, segmentation=[box(0, 0, right, 2)])], ("a.png",))
        save_json(tmp_path / part / "_annotations.coco.json", content | {"categories": categories})
    table = read(tmp_path)[0]
    assert table.class_names == ("pit",)
    assert areas(table) == {"train/a.png": [6], "valid/a.png": [10]}
    assert areas(read(tmp_path, include=["valid/*"])[0]) == {"valid/a.png": [10]}


def test_an_image_that_no_file_lists(root: Path) -> None:
    save_images(root / "images", "c.png")
    assert "c.png" in fault_of(root)
    assert "data.missing_mask: clean" in fault_of(root)
    assert areas(read(root, missing_mask="clean")[0])["c.png"] == [0, 0]
    table, skipped = read(root, skip_bad=True)
    assert table.image_ids == ["a.png", "b.png"]
    assert [one.image_id for one in skipped] == ["c.png"]


def test_a_box_alone_is_told(root: Path) -> None:
    save_json(root / "annotations" / "instances.json", coco([annotation(1, bbox=[1, 2, 3, 4], segmentation=[])]))
    assert "annotation 1: it is a box without outline" in fault_of(root)
    assert areas(read(root, boxes="fill")[0])["a.png"] == [12, 0]


def test_two_files_of_one_image(root: Path) -> None:
    save_json(root / "annotations" / "more.json", coco([], ("a.png",)))
    fault = fault_of(root)
    for words in ("a.png", "instances.json", "more.json", "data.labels"):
        assert words in fault
    assert areas(read(root, labels=root / "annotations" / "instances.json")[0])["a.png"] == [12, 4]


FAULTS: dict[str, tuple[Any, list[str]]] = {
    "of no image": ([annotation(5, image_id=99)], ["annotation 5", "image_id 99"]),
    "of no category": ([annotation(5, category_id=99)], ["annotation 5", "category_id 99", "a.png"]),
    "two points": ([annotation(5, segmentation=[[1, 2, 3, 4]])], ["annotation 5", "3 points", "a.png"]),
    "no numbers": ([annotation(5, segmentation=[["x"] * 6])], ["annotation 5", "numbers"]),
    "counts too short": ([annotation(5, segmentation={"size": [8, 10], "counts": [1]})], ["annotation 5", "80"]),
    "other size": ([annotation(5, segmentation={"size": [9, 10], "counts": [90]})], ["[9, 10]", "[8, 10]"]),
    "outside": ([annotation(5, segmentation=[box(20, 20, 30, 30)])], ["annotation 5", "no pixel"]),
    "not an object": (["text"], ["annotation 1", "not an object"]),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_faults_are_told_with_file_and_place(root: Path, kind: str) -> None:
    annotations, words = FAULTS[kind]
    save_json(root / "annotations" / "instances.json", coco(annotations))
    fault = fault_of(root)
    for word in [*words, "instances.json"]:
        assert word in fault
    if "a.png" in fault:
        assert read(root, skip_bad=True)[0].image_ids == ["b.png"]


def test_an_image_of_another_size(root: Path) -> None:
    content = coco([POLYGONS])
    content["images"][0]["width"] = 11
    save_json(root / "annotations" / "instances.json", content)
    assert "11 x 8 pixels (width x height), but the image is 10 x 8" in fault_of(root)


def test_a_missing_image_has_near_names(root: Path) -> None:
    save_json(root / "annotations" / "instances.json", coco([POLYGONS], ("A.png", "b.png")))
    assert "a.png is there, which differs in case" in fault_of(root)
    assert read(root, skip_bad=True)[0].image_ids == ["b.png"]


@pytest.mark.parametrize("name", ["background", "__ignore__"])
def test_background_is_no_class(root: Path, name: str) -> None:
    content = coco([POLYGONS, PLAIN]) | {"categories": [*CATEGORIES, {"id": 1, "name": name}]}
    save_json(root / "annotations" / "instances.json", content)
    assert read(root)[0].class_names == ("pit", "scratch")
    content["annotations"].append(annotation(9, category_id=1, segmentation=[box(0, 0, 3, 2)]))
    save_json(root / "annotations" / "instances.json", content)
    assert name in fault_of(root)


def test_json_that_is_none(root: Path) -> None:
    path = root / "annotations" / "instances.json"
    path.write_text(json.dumps(coco([POLYGONS]))[:-20])
    assert "instances.json" in fault_of(root)


def test_a_file_that_was_cut_off_is_told_as_such(tmp_path: Path) -> None:
    save_images(tmp_path / "images", "a.png")
    save_text(tmp_path / "annotations" / "instances.json", '{"images": [{"id": 1')
    assert "instances.json" in fault_of(tmp_path)
