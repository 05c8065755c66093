"""CVAT's XML, Label Studio's JSON and PNG, and labels of whole images: by hand, and what is wrong with them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from format_files import areas, fault_of, read, save, save_images, save_json, save_text
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sever.config import DataSettings
from sever.data.formats.brush import decode_brush, encode_brush
from sever.data.layouts import raise_unless_masks
from sever.errors import InputError

META = "<meta><task><labels><label><name>scratch</name></label><label><name>pit</name></label></labels></task></meta>"
SHAPES = """
<polygon label="pit" source="manual" occluded="0" points="0.00,0.00;3.00,0.00;3.00,2.00;0.00,2.00"></polygon>
<box label="scratch" xtl="5" ytl="5" xbr="7" ybr="8"/>
<ellipse label="pit" cx="6" cy="3" rx="2" ry="2"/>
<mask label="scratch" rle="1, 2, 1" left="0" top="6" width="2" height="2"/>
"""


def cvat(*images: str, meta: str = META) -> str:
    head = '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>'
    return f"{head}{meta}{''.join(images)}</annotations>"


def image(name: str, shapes: str = "", number: int = 0, width: int = 10) -> str:
    return f'<image id="{number}" name="{name}" width="{width}" height="8">{shapes}</image>'


@pytest.fixture
def task(tmp_path: Path) -> Path:
    save_images(tmp_path / "images", "coil/a.png", "b.png")
    save_text(tmp_path / "annotations.xml", cvat(image("coil/a.png", SHAPES), image("b.png", number=1)))
    return tmp_path


def test_cvat_by_hand(task: Path) -> None:
    table = read(task)[0]
    assert table.class_names == ("scratch", "pit")  # as the task has them
    assert areas(table) == {"b.png": [0, 0], "coil/a.png": [6 + 2, 6 + 12]}
    # 1 off, 2 on, 1 off along the rows of a 2 x 2 box.
    assert table.mask(1)[0, 6:, :2].tolist() == [[0, 1], [1, 0]]


def test_cvat_turned_box(task: Path) -> None:
    """A quarter turn about its centre makes 4 x 2 of 2 x 4."""
    box = '<box label="pit" xtl="3" ytl="3" xbr="7" ybr="5" rotation="90"/>'
    save_text(task / "annotations.xml", cvat(image("coil/a.png", box), image("b.png")))
    mask_hw = read(task)[0].mask(1)[1]
    assert mask_hw[2:6, 4:6].all()
    assert mask_hw.sum() == 8


CVAT_FAULTS = {
    "a line": ('<polyline label="pit" points="1,1;2,2;3,3"/>', ["polyline 1", "no area"]),
    "no label": ('<box xtl="5" ytl="5" xbr="7" ybr="8"/>', ["box 1", "no label"]),
    "unknown label": ('<box label="dent" xtl="5" ytl="5" xbr="7" ybr="8"/>', ["'dent'"]),
    "points": ('<polygon label="pit" points="1,1;2"/>', ["polygon 1", "points"]),
    "rle short": ('<mask label="pit" rle="1, 2" left="0" top="6" width="2" height="2"/>', ["mask 1", "3 pixels"]),
    "rle text": ('<mask label="pit" rle="1, x" left="0" top="6" width="2" height="2"/>', ["mask 1", "whole numbers"]),
    "rle outside": ('<mask label="pit" rle="0, 4" left="9" top="6" width="2" height="2"/>', ["mask 1", "outside"]),
    "a word": ('<box label="pit" xtl="5" ytl="5" xbr="7" ybr="eight"/>', ["box 1", "`ybr`", "'eight'"]),
}


@pytest.mark.parametrize("kind", CVAT_FAULTS)
def test_cvat_faults(task: Path, kind: str) -> None:
    shapes, words = CVAT_FAULTS[kind]
    if kind == "unknown label":
        (task / "classes.txt").write_text("scratch\npit\n")
    save_text(task / "annotations.xml", cvat(image("coil/a.png", shapes), image("b.png", number=1)))
    fault = fault_of(task)
    for word in [*words, "annotations.xml", "coil/a.png"]:
        assert word in fault
    assert read(task, skip_bad=True)[0].image_ids == ["b.png"]


def test_cvat_labels_that_the_task_does_not_have(task: Path) -> None:
    dent = '<box label="dent" xtl="5" ytl="5" xbr="7" ybr="8"/>'
    save_text(task / "annotations.xml", cvat(image("coil/a.png", dent), image("b.png")))
    assert "box 1 of image 0: its label 'dent' is not one of the task's: scratch, pit" in fault_of(task)
    save_text(task / "annotations.xml", cvat(image("coil/a.png", dent), image("b.png"), meta=""))
    assert read(task)[0].class_names == ("dent",)


def test_cvat_files_that_are_none(task: Path) -> None:
    save_text(task / "annotations.xml", cvat(image("coil/a.png", SHAPES, width=11), image("b.png")))
    assert "11 x 8" in fault_of(task)
    save_text(task / "annotations.xml", cvat("<track/>"))
    assert "CVAT for images 1.1" in fault_of(task)
    save_text(task / "annotations.xml", cvat(image("b.png"))[:-5])
    assert "annotations.xml" in fault_of(task)
    bomb = '<!DOCTYPE a [<!ENTITY b "c">]>' + cvat(image("b.png"))
    save_text(task / "annotations.xml", bomb)
    assert "entities" in fault_of(task)
    save_text(task / "annotations.xml", cvat("<x>" * 60 + "</x>" * 60))
    assert "deep" in fault_of(task)


small_masks = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 1))


@given(small_masks)
@settings(max_examples=60, deadline=None)
def test_brush_there_and_back(mask_hw: np.ndarray) -> None:
    assert decode_brush(encode_brush(mask_hw), *mask_hw.shape).tolist() == mask_hw.tolist()


def test_brush_of_long_runs() -> None:
    mask_hw = np.zeros((300, 400), np.uint8)
    mask_hw[100:250] = 1
    assert decode_brush(encode_brush(mask_hw), 300, 400).tolist() == mask_hw.tolist()


def test_brush_by_hand() -> None:
    """One pixel off, one on: 8 values of 8 bits in one string of single values, then in two runs."""
    head = f"{8:032b}{7:05b}" + "0010" * 4  # all widths 3
    single = head + "0" + "00" + "111" + "00000000" * 4 + "11111111" * 4
    runs = head + "1" + "00" + "011" + "00000000" + "1" + "00" + "011" + "11111111"
    for text in (single, runs):
        text += "0" * (-len(text) % 8)
        numbers = [int(text[at : at + 8], 2) for at in range(0, len(text), 8)]
        assert decode_brush(numbers, 1, 2).tolist() == [[0, 1]]
        with pytest.raises(InputError, match="2 pixels, but the image has 3"):
            decode_brush(numbers, 1, 3)
        with pytest.raises(InputError, match="too early"):
            decode_brush(numbers[:-3], 1, 2)
    for bad in ([], [256] * 20, [-1] * 20, ["1"] * 20, [255] * 20):
        with pytest.raises(InputError):
            decode_brush(bad, 1, 2)


def region(kind: str, label: str | None, **value: Any) -> dict[str, Any]:
    named = {kind: [label]} if label else {}
    return {"type": kind, "original_width": 10, "original_height": 8, "value": value | named, "from_name": "tag"}


BRUSH = np.zeros((8, 10), np.uint8)
BRUSH[6:, :2] = [[1, 0], [1, 1]]
REGIONS = [
    region("brushlabels", "pit", format="rle", rle=encode_brush(BRUSH)),  # 3
    region("polygonlabels", "scratch", points=[[0, 0], [30, 0], [30, 25], [0, 25]], closed=True),  # 3 x 2
    region("rectanglelabels", "pit", x=50, y=62.5, width=20, height=37.5, rotation=0),  # 2 x 3
    region("ellipselabels", "scratch", x=60, y=37.5, radiusX=20, radiusY=25, rotation=0),  # radius 2
    {"type": "choices", "from_name": "look", "value": {"choices": ["bad"]}},
]


def tasks(*results: list[dict[str, Any]], **values: Any) -> list[dict[str, Any]]:
    names = ("/data/upload/1/0a1b2c3d-a.png", "/data/local-files/?d=coil%2Fb.png")
    return [
        {"id": at + 1, "annotations": [{"id": 10 + at, "result": result} | values], "data": {"image": names[at]}}
        for at, result in enumerate(results)
    ]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    save_images(tmp_path / "images", "a.png", "coil/b.png")
    save_json(tmp_path / "project.json", tasks(REGIONS, []))
    return tmp_path


def test_label_studio_by_hand(project: Path) -> None:
    table = read(project)[0]
    assert table.class_names == ("pit", "scratch")
    assert areas(table) == {"a.png": [9, 18], "coil/b.png": [0, 0]}


def test_label_studio_turns_rectangles_about_their_corner(project: Path) -> None:
    """A quarter turn clockwise about (5, 4): what was 3 x 2 to the right is 2 x 3, to the left of it and below."""
    turned = region("rectanglelabels", "pit", x=50, y=50, width=30, height=25, rotation=90)
    save_json(project / "project.json", tasks([turned], []))
    mask_hw = read(project)[0].mask(0)[0]
    assert mask_hw[4:7, 3:5].all()
    assert mask_hw.sum() == 6


def test_a_bitmask_of_label_studio_is_what_is_not_transparent(project: Path) -> None:
    png = cv2.imencode(".png", np.dstack([np.zeros((8, 10, 3), np.uint8), BRUSH * 255]))[1].tobytes()
    url = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    save_json(project / "project.json", tasks([region("bitmasklabels", "pit", imageDataURL=url)], []))
    table = read(project)[0]
    assert (table.mask(0)[0] == BRUSH).all()
    small = cv2.imencode(".png", np.zeros((4, 10, 4), np.uint8))[1].tobytes()
    url = f"data:image/png;base64,{base64.b64encode(small).decode()}"
    save_json(project / "project.json", tasks([region("bitmasklabels", "pit", imageDataURL=url)], []))
    assert "10 x 4 pixels, not 10 x 8" in fault_of(project)


def test_what_label_studio_asks_of_a_region_is_no_second_one(project: Path) -> None:
    """A choice and a text about it, a relation, and the bare region that stands beside one with `labels`."""
    box = {"x": 50, "y": 62.5, "width": 20, "height": 37.5, "rotation": 0}
    about = [region("choices", None, **box, choices=["deep"]), region("textarea", None, **box, text=["?"])]
    twice = [region("rectangle", None, **box) | {"id": "r"}, region("labels", "pit", **box) | {"id": "r"}]
    save_json(project / "project.json", tasks([*twice, *about, {"type": "relation", "from_id": "r", "to_id": "r"}], []))
    assert areas(read(project)[0]) == {"a.png": [6], "coil/b.png": [0]}


def test_predictions_alone_say_nothing(project: Path) -> None:
    save_json(project / "project.json", [each | {"annotations": [], "predictions": []} for each in tasks(REGIONS)])
    assert "project.json: no task has annotations" in fault_of(project)


def test_label_studio_without_answer_is_not_clean(project: Path) -> None:
    content = tasks(REGIONS, [])
    content[1]["annotations"][0]["was_cancelled"] = True
    save_json(project / "project.json", content)
    assert "coil/b.png" in fault_of(project)
    assert areas(read(project, missing_mask="clean")[0])["coil/b.png"] == [0, 0]
    content[1]["annotations"] = tasks([], [])[1]["annotations"] * 2
    save_json(project / "project.json", content)
    assert "2 annotations" in fault_of(project)
    assert "2 annotations" in fault_of(project, missing_mask="clean")


LABEL_STUDIO_FAULTS: dict[str, tuple[Any, list[str]]] = {
    "no label": (region("brushlabels", None, rle=[1]), ["region 1", "no label"]),
    "brush of other size": (region("brushlabels", "pit", rle=encode_brush(BRUSH[:4])), ["region 1", "40 pixels"]),
    "a point": (region("keypointlabels", "pit", x=3, y=4, width=1), ["region 1", "'keypointlabels' has no area"]),
    "an unknown kind": (region("vectorlabels", "pit", vertices=[]), ["region 1", "'vectorlabels' has no area"]),
    "a turned image": (REGIONS[1] | {"image_rotation": 90}, ["region 1", "turned by 90 degrees"]),
    "no bitmask": (
        region("bitmasklabels", "pit", imageDataURL="data:image/png;base64,!"),
        ["region 1", "can't be read"],
    ),
    "two points": (region("polygonlabels", "pit", points=[[1, 1], [2, 2]]), ["region 1", "3 points"]),
    "text": (region("rectanglelabels", "pit", x=1, y="2", width=3, height=4), ["region 1", "`y`", "a number"]),
    "no region": (5, ["region 1", "not an object"]),
}


@pytest.mark.parametrize("kind", LABEL_STUDIO_FAULTS)
def test_label_studio_faults(project: Path, kind: str) -> None:
    bad, words = LABEL_STUDIO_FAULTS[kind]
    save_json(project / "project.json", tasks([bad], REGIONS))
    fault = fault_of(project)
    for word in [*words, "project.json", "task 1", "a.png"]:
        assert word in fault
    assert read(project, skip_bad=True)[0].image_ids == ["coil/b.png"]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("a", "a.png is there, which differs in suffix"),
        ("/data/upload/1/a.PNG", "a.png is there, which differs in folder and case"),
        ("a.png ", "a.png is there, which differs in spaces"),
        ("http://[a.png", "this image is missing"),
    ],
)
def test_the_image_of_a_task_that_is_spelt_otherwise(project: Path, address: str, words: str) -> None:
    content = tasks(REGIONS, REGIONS)
    content[0]["data"] = {"image": address}
    save_json(project / "project.json", content)
    assert words in fault_of(project)
    assert read(project, skip_bad=True)[0].image_ids == ["coil/b.png"]


def test_label_studio_json_min(project: Path) -> None:
    save_json(project / "project.json", [{"id": 1, "image": "a.png", "tag": [], "annotation_id": 5, "data": 3}])
    assert "task 1" in fault_of(project, layout="label_studio")
    save_json(project / "project.json", [{"id": 1, "image": "a.png", "tag": [], "annotation_id": 5}])
    assert "JSON-MIN" in fault_of(project, layout="label_studio")


@pytest.fixture
def brushes(project: Path) -> Path:
    """The masks of task 1; task 2 was annotated without any."""
    picture = np.zeros((8, 10), np.uint8)
    picture[:2, :3] = 255
    masks = {"tag-pit-0": picture, "tag-pit-1": np.roll(picture, 4, axis=1), "tag-cold-shut-0": BRUSH * 255}
    for name, pixels in masks.items():
        save(project / "png" / f"task-1-annotation-10-by-you@mill.org-{name}.png", pixels)
    return project


def test_label_studio_png_by_hand(brushes: Path) -> None:
    assert "label_studio_png" in fault_of(brushes)  # both the JSON and the PNG may be meant
    table = read(brushes, layout="label_studio_png")[0]
    assert table.class_names == ("cold-shut", "pit")
    assert areas(table) == {"a.png": [3, 12], "coil/b.png": [0, 0]}


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        ({"was_cancelled": True, "result": []}, "no label file mentions it"),
        ({"result": REGIONS}, "its masks task-2-annotation-*.png are missing"),
        (12, "no label file mentions it"),  # the number of an annotation, in a list of tasks
    ],
)
def test_a_task_without_masks_is_clean_only_where_somebody_said_so(
    brushes: Path, annotation: object, words: str
) -> None:
    content = tasks(REGIONS, [])
    content[1]["annotations"] = [annotation]
    save_json(brushes / "project.json", content)
    assert words in fault_of(brushes, layout="label_studio_png")
    choice = region("choices", "good", choices=["good"])
    content[1]["annotations"] = [{"result": [choice]}]
    save_json(brushes / "project.json", content)
    assert areas(read(brushes, layout="label_studio_png")[0])["coil/b.png"] == [0, 0]


def test_label_studio_png_needs_the_json(brushes: Path) -> None:
    (brushes / "project.json").unlink()
    assert "export the project as JSON" in fault_of(brushes)
    save_json(brushes / "min.json", [{"id": 1, "image": "/data/upload/1/0a1b2c3d-a.png", "annotations": []}])
    assert areas(read(brushes, layout="label_studio_png", missing_mask="clean")[0])["a.png"] == [3, 12]
    save_json(brushes / "min.json", [{"id": 4, "image": "a.png", "annotations": []}])
    assert "task 1 is not in" in fault_of(brushes, layout="label_studio_png")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("image,classes\na.png,pit;scratch\nb.png,\nc.png,good\n", [[80, 80], [0, 0], [0, 0]]),
        ("filename,label\na.png,pit\na.png,scratch\nb.png,\nc.png,clean\n", [[80, 80], [0, 0], [0, 0]]),
        ("image,pit,scratch\na.png,1,1\nb.png,0,0\nc.png,0,0\n", [[80, 80], [0, 0], [0, 0]]),
        ("image,class\na.png,scratch\nb.png,pit|scratch\nc.png,\n", [[0, 80], [80, 80], [0, 0]]),
    ],
)
def test_labels_of_whole_images(tmp_path: Path, text: str, expected: list[list[int]]) -> None:
    save_images(tmp_path / "images", "a.png", "b.png", "c.png")
    save_text(tmp_path / "labels.csv", text)
    table = read(tmp_path)[0]
    assert table.class_names == ("pit", "scratch")
    assert list(areas(table).values()) == expected
    with pytest.raises(InputError, match="task: classify"):
        raise_unless_masks(DataSettings(root=tmp_path))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("image,class\na.png,unlabelled\nb.png,pit\n", "labelled 'unlabelled'"),
        ("image,class\na.png,Ignore\nb.png,pit\n", "labelled 'Ignore'"),
        ("image,pit,unlabeled\na.png,0,1\nb.png,1,0\n", "labelled 'unlabeled'"),
        ("image,class\na.png,pit;good\nb.png,pit\n", "labelled both 'good' and 'pit'"),
        ("image,class\na.png,pit\na.png,OK\nb.png,pit\n", "labelled both 'OK' and 'pit'"),
        ("image,pit,good\na.png,1,1\nb.png,1,0\n", "labelled both 'good' and 'pit'"),
    ],
)
def test_an_image_that_nobody_judged_or_that_is_judged_twice_is_never_clean(
    text: str, fault: str, tmp_path: Path
) -> None:
    save_images(tmp_path / "images", "a.png", "b.png")
    save_text(tmp_path / "labels.csv", text)
    assert fault in fault_of(tmp_path)
    table = read(tmp_path, skip_bad=True)[0]
    assert (table.image_ids, table.class_names) == (["b.png"], ("pit",))


def test_labels_of_whole_images_that_are_none(tmp_path: Path) -> None:
    save_images(tmp_path / "images", "a.png", "b.png")
    save_text(tmp_path / "labels.csv", "image,pit\na.png,yes\n")
    assert "labels.csv, row 2" in fault_of(tmp_path)
    save_text(tmp_path / "labels.csv", "image,class\na.png,pit\n")
    assert "b.png" in fault_of(tmp_path)
    save_text(tmp_path / "labels.csv", "image,class\na.png,pit\nb.png,\nc.png,pit\n")
    assert "c.png" in fault_of(tmp_path)
