"""What lies among images and is left alone: never taken for an image, and said."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from sever.data.images import IMAGE_SUFFIXES, list_images
from sever.data.layouts import read_folder, read_images
from sever.data.passed_over import find_passed_over
from sever.errors import InputError


def save(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", np.zeros((4, 5), np.uint8))[1].tobytes())
    return path


FOREIGN = ["@eaDir", "@EADIR", "#recycle", "$RECYCLE.BIN", "__MACOSX", "Thumbnails", "thumbs"]


@pytest.mark.parametrize("name", FOREIGN)
def test_thumbnails_are_no_images(tmp_path: Path, name: str) -> None:
    save(tmp_path / "coil" / "a.png")
    save(tmp_path / "coil" / name / "a.png" / "SYNOPHOTO_THUMB_M.png")
    assert list_images(tmp_path) == [tmp_path / "coil" / "a.png"]
    assert str(find_passed_over(tmp_path, IMAGE_SUFFIXES)) == f"the folders coil/{name}"


def test_masks_beside_images_are_labels(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.png")
    save(tmp_path / "masks" / "a.png")
    assert read_folder(tmp_path, ("pit",)).image_ids == ["images/a.png"]
    assert str(find_passed_over(tmp_path, IMAGE_SUFFIXES)) == "the folders masks"
    # Alone they are pictures that somebody may want predicted.
    assert read_folder(tmp_path / "masks", ("pit",)).image_ids == ["a.png"]
    save(tmp_path / "other" / "masks" / "b.png")
    assert "other/masks/b.png" in read_folder(tmp_path, ("pit",)).image_ids


def test_unknown_kinds_are_counted(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    for name in ("b.HEIC", "c.heic", "x/d.gif", ".hidden.gif", ".cache/e.gif", "notes.txt", "train.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_passed_over(tmp_path, IMAGE_SUFFIXES)
    assert found.kinds == ((".gif", 1), (".heic", 2))
    assert str(found) == "1 .gif, 2 .heic (not read here; save them as PNG)"
    assert not find_passed_over(tmp_path / ".cache", (".gif",))


def test_no_image_but_others(tmp_path: Path) -> None:
    (tmp_path / "a.heic").touch()
    with pytest.raises(InputError, match=r"there are no images in .*; skipped: 1 \.heic \(not read here"):
        read_folder(tmp_path, ("pit",))


def test_a_single_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "one.png")
    monkeypatch.chdir(tmp_path)
    table, skipped = read_images(Path("one.png"), ("pit",))
    assert (table.image_ids, table.size(0), skipped) == (["one.png"], (4, 5), [])
    assert table.path(0) == tmp_path / "one.png"
    (tmp_path / "labels.csv").write_text("ImageId\n")
    with pytest.raises(InputError, match=r"labels\.csv is not an image"):
        read_images(Path("labels.csv"), ("pit",))
    with pytest.raises(InputError, match=f"{tmp_path}/One.PNG; one.png is there, which differs in"):
        read_images(Path("One.PNG"), ("pit",))
