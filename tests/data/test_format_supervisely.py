"""Supervisely's projects by hand: what is drawn to the pixel, and what is wrong with them."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from format_files import areas, fault_of, read, save_images, save_json

PART = np.array([[1, 0], [1, 1]], np.uint8)


def packed(pixels: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(cv2.imencode(".png", pixels)[1].tobytes())).decode()


def see_through(part: np.ndarray) -> np.ndarray:
    """White where it is marked, and transparent elsewhere: what the web editor stores."""
    return np.dstack([np.full_like(part, 255)] * 3 + [part * 255])


def thing(label: str, kind: str, **values: Any) -> dict[str, Any]:
    return {"id": 7, "classTitle": label, "geometryType": kind, "tags": [], **values}


def polygon(label: str, outline: Any, *holes: Any, kind: str = "polygon") -> dict[str, Any]:
    return thing(label, kind, points={"exterior": outline, "interior": list(holes)})


def bitmap(label: str, origin: Any, data: Any) -> dict[str, Any]:
    return thing(label, "bitmap", bitmap={"origin": origin, "data": data})


def page(*objects: Any, size: tuple[int, int] = (8, 10)) -> dict[str, Any]:
    return {"description": "", "tags": [], "size": {"height": size[0], "width": size[1]}, "objects": list(objects)}


OBJECTS = [
    polygon("scratch", [[0, 0], [4, 0], [4, 4], [0, 4]], [[1, 1], [3, 1], [3, 3], [1, 3]]),  # 25 - 9
    polygon("pit", [[9, 7], [7, 6]], kind="rectangle"),  # 3 x 2, its corners in any order
    bitmap("pit", [0, 6], packed(see_through(PART))),  # 3
    bitmap("scratch", [8, 0], packed(PART * 255)),  # 3
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    classes = [{"title": title, "shape": "any", "color": "#FF0000"} for title in ("scratch", "pit")]
    save_json(tmp_path / "meta.json", {"classes": classes, "tags": [], "projectType": "images"})
    save_images(tmp_path / "coil 1" / "img", "a.png", "b.png")
    save_json(tmp_path / "coil 1" / "ann" / "a.png.json", page(*OBJECTS))
    save_json(tmp_path / "coil 1" / "ann" / "b.png.json", page())
    return tmp_path


def test_by_hand(project: Path) -> None:
    table = read(project)[0]
    assert table.class_names == ("scratch", "pit")  # the order of meta.json
    assert areas(table) == {"coil 1/img/a.png": [19, 9], "coil 1/img/b.png": [0, 0]}
    assert table.mask(0)[0, :5, :5].tolist() == [[1] * 5, *[[1, 0, 0, 0, 1]] * 3, [1] * 5]
    assert table.mask(0)[1, 6:, :2].tolist() == table.mask(0)[0, :2, 8:].tolist() == PART.tolist()


def test_images_of_one_name_in_two_data_sets(project: Path) -> None:
    save_images(project / "coil 2" / "img", "a.png")
    save_json(project / "coil 2" / "ann" / "a.png.json", page(OBJECTS[1]))
    assert areas(read(project)[0])["coil 2/img/a.png"] == [0, 6]


def test_an_image_without_a_file(project: Path) -> None:
    (project / "coil 1" / "ann" / "b.png.json").unlink()
    assert "coil 1/img/b.png" in fault_of(project)
    assert areas(read(project, missing_mask="clean")[0])["coil 1/img/b.png"] == [0, 0]


FAULTS: dict[str, tuple[Any, list[str]]] = {
    "a line": (polygon("pit", [[1, 1], [2, 2]], kind="line"), ["object 1", "line has no area", "bitmap"]),
    "two points": (polygon("pit", [[1, 1], [2, 2]]), ["object 1", "3 points"]),
    "three corners": (polygon("pit", [[1, 1], [2, 2], [3, 3]], kind="rectangle"), ["2 corners", "3"]),
    "no title": ({"geometryType": "polygon"}, ["object 1", "`classTitle`", "missing"]),
    "unknown class": (polygon("rust", [[0, 0], [3, 0], [3, 3]]), ["'rust' is not a class", "scratch, pit"]),
    "no base64": (bitmap("pit", [0, 0], "!!"), ["object 1", "can't be read"]),
    "not deflated": (bitmap("pit", [0, 0], base64.b64encode(b"PNG").decode()), ["object 1", "can't be read"]),
    "cut off": (
        bitmap("pit", [0, 0], base64.b64encode(zlib.compress(bytes(999))[:-6]).decode()),
        ["object 1", "cut off"],
    ),
    "no picture": (bitmap("pit", [0, 0], base64.b64encode(zlib.compress(b"no PNG")).decode()), ["object 1", "bitmap"]),
    "larger than its image": (
        bitmap("pit", [0, 0], packed(np.zeros((2000, 3000), np.uint8))),
        ["object 1", "too large"],
    ),
    "outside": (bitmap("pit", [9, 7], packed(PART)), ["object 1", "inside the image"]),
    "origin": (bitmap("pit", [9], packed(PART)), ["object 1", "`origin`"]),
    "no number": (polygon("pit", [[0, 0], [3, None], [3, 3]]), ["object 1", "not finite"]),
    "not an object": (7, ["object 1", "not an object"]),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_faults(project: Path, kind: str) -> None:
    bad, words = FAULTS[kind]
    save_json(project / "coil 1" / "ann" / "a.png.json", page(bad))
    save_json(project / "coil 1" / "ann" / "b.png.json", page(OBJECTS[1]))
    fault = fault_of(project)
    for word in [*words, "a.png.json", "coil 1/img/a.png"]:
        assert word in fault
    assert read(project, skip_bad=True)[0].image_ids == ["coil 1/img/b.png"]


def test_another_size_and_a_damaged_file_never_mean_clean(project: Path) -> None:
    save_json(project / "coil 1" / "ann" / "b.png.json", page(OBJECTS[1]))
    for content in ('{"objects": []}', "{", "[]", '{"size": {"height": 9, "width": 10}, "objects": []}'):
        (project / "coil 1" / "ann" / "a.png.json").write_text(content)
        assert "coil 1/img/a.png" in fault_of(project)
        assert read(project, skip_bad=True)[0].image_ids == ["coil 1/img/b.png"]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"classes": [{"name": "pit"}]}', '{"classes": []}'])
def test_a_damaged_meta(project: Path, content: str) -> None:
    (project / "meta.json").write_text(content)
    assert "meta.json" in fault_of(project)
