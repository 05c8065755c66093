"""Other tools' own libraries read what we write, and we read what they write.

They demand OpenCV below 5, or bring a web client along, so they don't install beside our lock: second_readers/make.py
says which versions made the files there, and with which commands they are made anew. What they read of ours is known by
the SHA-256 of our files: a test fails as soon as we write anything else.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from format_files import areas, read, save

from sever.data.table import ImageTable

HERE = Path(__file__).parent / "second_readers"
READ = json.loads((HERE / "read.json").read_text())


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("second_readers_make", HERE / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = _load()
TRUE = make.masks()


@pytest.mark.parametrize("to", make.WRITTEN, ids=str)
def test_they_read_what_we_write(tmp_path: Path, to: tuple[str, float | None]) -> None:
    form, tolerance = to
    make.write_ours(tmp_path / "ours", form, tolerance)
    notes = {name: note for name, note in READ.items() if name.split(maxsplit=1)[1] == f"{form} {tolerance}"}
    assert notes or form == "cvat"  # datumaro does not know CVAT's masks
    for name, note in notes.items():
        assert note["sha256"] == make.digest(tmp_path / "ours"), f"{name}: make second_readers anew"
        # supervision draws polygons through the centres of their corners' pixels, so that they gain a border.
        if not name.startswith("supervision") or tolerance is None:
            assert note["differ"] == [0, 0], name
        assert min(note["pixels"]) > 0


def test_polygons_are_filled_as_by_pycocotools_but_for_their_edges() -> None:
    known = json.loads((HERE / "polygons.json").read_text())
    assert sum(int(make.fill_ours(points).sum()) for points in make.random_polygons()) == known["pixels"]
    assert known["iou"] > 0.985


def table_of(folder: Path, root: Path, image: str, **settings: object) -> ImageTable:
    shutil.copytree(HERE / folder, root)
    save(root / "images" / image, np.full(TRUE.shape[1:], 99))
    return read(root, **settings)[0]


def test_label_studio_sdk(tmp_path: Path) -> None:
    """Its run lengths of brushes, and the PNG and their names that it exports."""
    save(tmp_path / "data" / "images" / "b.png", np.full(TRUE.shape[1:], 99))
    shutil.copytree(HERE / "label_studio", tmp_path / "data", dirs_exist_ok=True)
    save(tmp_path / "data" / "images" / "a.png", np.full(TRUE.shape[1:], 99))
    for layout in ("label_studio", "label_studio_png"):
        table = read(tmp_path / "data", layout=layout)[0]
        assert table.class_names == make.NAMES
        assert table.mask(0).tolist() == TRUE.tolist()
        assert areas(table)["b.png"] == [0, 0]


def test_datumaro_coco(tmp_path: Path) -> None:
    """Plain counts, which it marks as crowds."""
    table = table_of(Path("datumaro/coco"), tmp_path / "data", "a.jpg")
    assert table.mask(0).tolist() == TRUE.tolist()


def test_datumaro_cvat(tmp_path: Path) -> None:
    table = table_of(Path("datumaro/cvat"), tmp_path / "data", "a.jpg")
    assert areas(table) == {"a.jpg": [12 * 10, 6 * 4]}


def test_datumaro_voc(tmp_path: Path) -> None:
    """True colours, of VOC's palette, which its labelmap.txt does not name."""
    table = table_of(Path("datumaro/voc"), tmp_path / "data", "a.jpg")
    assert table.mask(0).tolist() == TRUE.tolist()


def test_supervision(tmp_path: Path) -> None:
    """It traces polygons through the centres of the outermost pixels: a box of 12 x 10 pixels is drawn as 11 x 9."""
    coco = HERE / "supervision" / "coco.json"
    save(tmp_path / "coco" / "images" / "a.png", np.full(TRUE.shape[1:], 99))
    assert areas(read(tmp_path / "coco", layout="coco", labels=coco)[0]) == {"a.png": [11 * 9, 4 * 4]}
    table = table_of(Path("supervision"), tmp_path / "yolo", "a.png", layout="yolo")
    assert areas(table) == {"a.png": [11 * 9, 4 * 4]}
