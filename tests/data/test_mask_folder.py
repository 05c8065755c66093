"""The layout of label maps: nested folders, odd PNG kinds, every fault, and the real data sets where at hand."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from sever.config import DataSettings
from sever.data.faults import Skipped, images_of
from sever.data.mask_folder import read_mask_folder
from sever.data.table import ImageTable
from sever.errors import InputError

SHARED = Path(__file__).parents[3] / "shared" / "data"
IMAGE = np.full((2, 3), 99, np.uint8)


def save(path: Path, pixels: np.ndarray | list[list[int]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix.lower(), np.asarray(pixels, np.uint8))[1].tobytes())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three images of 2x3, one in a folder of its own; b is clean."""
    for name in ("images/a.jpg", "images/b.png", "images/deep/a.bmp"):
        save(tmp_path / name, IMAGE)
    save(tmp_path / "masks/a.png", [[1, 0, 2], [1, 0, 0]])
    save(tmp_path / "masks/b.png", [[0, 0, 0], [0, 0, 0]])
    save(tmp_path / "masks/deep/a.png", [[0, 2, 2], [0, 0, 2]])
    (tmp_path / "classes.txt").write_text("pit\nscratch\n")
    return tmp_path


def read(root: Path, split: str = "train", **settings: object) -> tuple[ImageTable, list[Skipped]]:
    return read_mask_folder(DataSettings.model_validate({"root": root, **settings}), split)


def fault_of(root: Path, **settings: object) -> str:
    with pytest.raises(InputError, match=r".") as raised:
        read(root, **settings)
    return str(raised.value)


def test_table(root: Path) -> None:
    table, skipped = read(root)
    assert skipped == []
    assert table.class_names == ("pit", "scratch")
    # Columns are counted downwards: the first holds pixels 1 and 2, the last 5 and 6.
    assert table.frame[["image_id", "runs_0", "runs_1"]].to_numpy().tolist() == [
        ["a.jpg", "1 2", "5 1"],
        ["b.png", "", ""],
        ["deep/a.bmp", "", "3 1 5 2"],
    ]
    assert table.size(2) == (2, 3)
    assert table.path(2) == root / "images" / "deep" / "a.bmp"


def test_numbers_without_names(root: Path) -> None:
    (root / "classes.txt").unlink()
    assert read(root, num_classes=2)[0].class_names == ("1", "2")
    assert "classes.txt" in fault_of(root)


def test_white_means_defect_where_there_is_one_class(root: Path) -> None:
    (root / "classes.txt").write_text("\ufeffdefect\r\n", encoding="utf-8")
    for name in ("a", "b", "deep/a"):
        save(root / f"masks/{name}.png", [[0, 255, 255], [0, 0, 0]])
    save(root / "masks/b.png", [[0, 0, 1], [0, 0, 0]])
    assert read(root)[0].frame["runs_0"].tolist() == ["3 1 5 1", "5 1", "3 1 5 1"]
    save(root / "masks/b.png", [[0, 255, 1], [0, 0, 0]])  # 1 and 255 can't both be the one class
    assert "255" in fault_of(root)


def test_white_means_nothing_where_there_are_two(root: Path) -> None:
    save(root / "masks/a.png", [[0, 255, 255], [0, 0, 0]])
    fault = fault_of(root)
    for word in ("a.jpg", "value 255", "1..2", "classes.txt"):
        assert word in fault


def save_palette(path: Path, labels: list[list[int]], palette: list[tuple[int, int, int]]) -> None:
    """A palette PNG of 2x3, which OpenCV can't write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 8, 3, 0, 0, 0))
        + chunk(b"PLTE", bytes(value for colour in palette for value in colour))
        + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + bytes(row) for row in labels)))
        + chunk(b"IEND", b"")
    )


BLACK, WHITE, RED, GREEN = (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0)


@pytest.mark.parametrize(
    "palette",
    [
        [BLACK, RED, GREEN],
        [BLACK, RED, BLACK],  # black twice, and 0 is one of them
        [GREEN, RED, WHITE, BLACK],  # black is not drawn
        [WHITE, BLACK, RED],  # ink on paper
    ],
)
def test_colours_of_a_palette_do_not_matter(root: Path, palette: list[tuple[int, int, int]]) -> None:
    save_palette(root / "masks/a.png", [[1, 0, 2], [0, 0, 0]], palette)
    assert read(root)[0].frame[["runs_0", "runs_1"]].iloc[0].tolist() == ["1 1", "5 1"]


@pytest.mark.parametrize(
    ("labels", "palette", "black"),
    [
        ([[1, 0, 2], [1, 1, 1]], [RED, BLACK, GREEN], 1),
        ([[2, 2, 2], [2, 2, 2]], [RED, GREEN, BLACK], 2),  # a clean image
        ([[0, 0, 0], [0, 0, 2]], [RED, GREEN, BLACK], 2),
        ([[1, 1, 1], [1, 1, 0]], [WHITE, BLACK, GREEN], 1),  # mostly ink is no paper
    ],
)
def test_a_palette_that_draws_background_as_a_class(
    root: Path, labels: list[list[int]], palette: list[tuple[int, int, int]], black: int
) -> None:
    save_palette(root / "masks/a.png", labels, palette)
    fault = fault_of(root)
    for words in ("a.jpg", f"black as index {black}", f"index 0 as the colour {palette[0]}", "0 for background"):
        assert words in fault
    table, skipped = read(root, skip_bad=True)
    assert table.image_ids == ["b.png", "deep/a.bmp"]
    assert [one.image_id for one in skipped] == ["a.jpg"]


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize(
    ("colour", "alpha", "words"),
    [
        ([[0, 0, 0], [0, 0, 0]], [[0, 1, 2], [0, 0, 0]], "0 everywhere, but its alpha channel has the values 0, 1, 2"),
        ([[255] * 3, [255] * 3], [[0, 255, 255], [0, 0, 0]], "255 everywhere"),
        ([[1, 0, 0], [0, 0, 0]], [[0, 1, 2], [0, 0, 0]], "neither clear nor opaque"),
        ([[1, 0, 2], [0, 0, 0]], [[255, 0, 255], [0, 0, 0]], None),  # background is clear
        ([[1, 0, 2], [0, 0, 0]], [[255] * 3, [255] * 3], None),
        ([[1, 0, 2], [0, 0, 0]], [[0] * 3, [0] * 3], None),
    ],
)
def test_labels_in_the_alpha_channel(
    root: Path, channels: int, colour: list[list[int]], alpha: list[list[int]], words: str | None
) -> None:
    save_with_alpha(root / "masks/a.png", colour, alpha, channels)
    if words is None:
        assert read(root)[0].frame[["runs_0", "runs_1"]].iloc[0].tolist() == ["1 1", "5 1"]
    else:
        fault = fault_of(root)
        assert words in fault
        assert "alpha" in fault


@pytest.mark.parametrize(
    ("mode", "kind", "settings"),
    [
        ("RGBA", "TIFF", {}),
        ("RGBA", "TIFF", {"compression": "tiff_lzw"}),
        ("LA", "TIFF", {}),
        ("LA", "TIFF", {"compression": "tiff_adobe_deflate"}),
        ("RGBA", "BMP", {}),
    ],
)
def test_labels_in_the_alpha_channel_of_other_formats(
    root: Path, mode: str, kind: str, settings: dict[str, Any]
) -> None:
    """Their decoder drops alpha, so that such a mask would read as one of a clean image."""
    alpha = np.array([[0, 1, 2], [0, 0, 0]], np.uint8)
    (root / "masks/a.png").unlink()
    path = root / f"masks/a.{kind.lower()}"
    pixels = np.dstack([np.zeros_like(alpha)] * (len(mode) - 1) + [alpha])
    Image.fromarray(pixels, mode).save(path, kind, **settings)
    assert "its alpha channel has the values 0, 1, 2" in fault_of(root)
    opaque = np.full_like(alpha, 255)
    Image.fromarray(np.dstack([alpha] * (len(mode) - 1) + [opaque]), mode).save(path, kind, **settings)
    assert read(root)[0].frame[["runs_0", "runs_1"]].iloc[0].tolist() == ["3 1", "5 1"]


def save_with_alpha(path: Path, colour: list[list[int]], alpha: list[list[int]], channels: int) -> None:
    """A PNG of 2x3, grey and alpha or three equal colours and alpha."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    pixels = np.stack([np.array(colour, np.uint8)] * (channels - 1) + [np.array(alpha, np.uint8)], axis=-1)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 8, {2: 4, 4: 6}[channels], 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels)))
        + chunk(b"IEND", b"")
    )


def spoil_value(root: Path) -> None:
    save(root / "masks/a.png", [[0, 3, 0], [0, 0, 0]])


def spoil_size(root: Path) -> None:
    save(root / "masks/a.png", [[0, 0], [0, 0], [0, 0]])


def spoil_mask(root: Path) -> None:
    (root / "masks/a.png").write_bytes((root / "masks/a.png").read_bytes()[:-9])


def spoil_image(root: Path) -> None:
    (root / "images/a.jpg").write_bytes((root / "images/a.jpg").read_bytes()[:-9])


def spoil_colour(root: Path) -> None:
    save(root / "masks/a.png", np.stack([np.eye(2, 3), np.zeros((2, 3)), np.ones((2, 3))], axis=2))


def take_mask_away(root: Path) -> None:
    (root / "masks/a.png").unlink()


FAULTS = [
    (spoil_value, ["value 3", "1..2"]),
    (spoil_size, ["2 x 3", "3 x 2"]),
    (spoil_mask, ["masks/a.png", "truncated"]),
    (spoil_image, ["images/a.jpg", "truncated"]),
    (spoil_colour, ["colour"]),
    (take_mask_away, ["mask is missing", "masks/a.png"]),
]


@pytest.mark.parametrize(("spoil", "words"), FAULTS, ids=lambda value: getattr(value, "__name__", ""))
def test_each_fault_is_told_or_left_out(root: Path, spoil: object, words: list[str]) -> None:
    assert callable(spoil)
    spoil(root)
    fault = fault_of(root)
    for word in ["a.jpg", *words]:
        assert word in fault
    table, skipped = read(root, skip_bad=True)
    assert table.image_ids == ["b.png", "deep/a.bmp"]
    assert [(one.image_id, one.row) for one in skipped] == [("a.jpg", None)]


def test_missing_masks_are_counted(root: Path) -> None:
    for index in range(5):
        save(root / f"images/n{index}.jpg", IMAGE)
    fault = fault_of(root)
    assert "5 faults" in fault
    assert "n0.jpg" in fault
    assert "n4.jpg" not in fault


def test_one_mask_for_two_images(root: Path) -> None:
    save(root / "images/a.png", IMAGE)
    fault = fault_of(root)
    assert "a.jpg" in fault
    assert "a.png" in fault
    table, skipped = read(root, skip_bad=True)
    assert table.image_ids == ["b.png", "deep/a.bmp"]
    assert [one.image_id for one in skipped] == ["a.jpg", "a.png"]


def test_a_mask_without_image(root: Path) -> None:
    save(root / "masks/deep/b.png", [[0, 0, 0]])
    assert "deep/b.png" in fault_of(root)
    table, skipped = read(root, skip_bad=True)
    assert table.image_ids == ["a.jpg", "b.png", "deep/a.bmp"]  # b.png is another image
    assert [one.image_id for one in skipped] == ["deep/b.png"]


def test_no_masks_folder(root: Path) -> None:
    for path in sorted((root / "masks").rglob("*.png")):
        path.unlink()
    (root / "masks/deep").rmdir()
    (root / "masks").rmdir()
    assert "masks" in fault_of(root)
    table, _ = read(root, "test")
    assert table.image_ids == ["a.jpg", "b.png", "deep/a.bmp"]
    assert not table.has_class().any()
    with pytest.raises(InputError, match="train, test"):
        read(root, "val")


def test_no_images(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    assert "images" in fault_of(tmp_path, num_classes=1)
    (tmp_path / "images").mkdir()
    assert "no images" in fault_of(tmp_path, num_classes=1)


def test_include_asks_nothing_of_the_others(root: Path) -> None:
    spoil_value(root)
    take_mask_away(root)
    assert read(root, include=["deep/*"])[0].image_ids == ["deep/a.bmp"]


@pytest.mark.skipif(not (SHARED / "neu_seg").is_dir(), reason="the real data set is not at hand")
def test_neu_seg() -> None:
    table, skipped = read(SHARED / "neu_seg", include=["test/*"])
    assert (len(table), skipped) == (840, [])
    assert table.class_names == ("inclusion", "patches", "scratches")
    assert {table.size(row) for row in range(len(table))} == {(200, 200)}
    row = 17
    stem = Path(table.image_ids[row]).with_suffix(".png")
    labels = cv2.imread(str(SHARED / "neu_seg" / "masks" / stem), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(table.mask(row), np.stack([labels == value for value in (1, 2, 3)]))
    assert table.has_class().any(axis=1).all()  # it has no clean images


@pytest.mark.skipif(not (SHARED / "magnetic_tile").is_dir(), reason="the real data set is not at hand")
def test_magnetic_tile() -> None:
    table, skipped = read(SHARED / "magnetic_tile")
    assert (len(table), skipped) == (1344, [])
    assert table.num_classes == 5
    shown = table.has_class()
    prefixes = np.array([image_id.split("_")[0] for image_id in table.image_ids])
    assert not shown[prefixes == "free"].any()
    assert (prefixes == "free").sum() == 952
    uneven = prefixes == "uneven"
    assert (~shown[uneven].any(axis=1)).sum() == 4
    for index, name in enumerate(table.class_names):
        assert set(prefixes[shown[:, index]]) == {name}


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ("a.PNG.bak", "a.PNG.bak is there: give it"),
        ("A.png", "A.png is there: give it the image's path and name, case included"),
        ("a.jpg", "a.jpg is there, but JPEG changes the numbers of a mask: save it as PNG"),
        ("a-mask.png", "a-mask.png is there: give it"),
        ("mask_a.png", "mask_a.png is there: give it"),
        ("A_MASK.png", "A_MASK.png is there: give it"),
        ("a_Ground-Truth.bmp", "a_Ground-Truth.bmp is there: give it"),
        ("other/a.png", "other/a.png is there: give it"),
        ("b2.png", None),
    ],
)
def test_a_mask_under_a_near_name_is_named(root: Path, there: str, words: str | None) -> None:
    path = root / "masks" / there
    path.parent.mkdir(exist_ok=True)
    (root / "masks/a.png").rename(path)
    fault = fault_of(root)
    assert f"image a.jpg: its mask is missing: {root}/masks/a.png" in fault
    if words is None:
        assert "is there" not in fault
    else:
        assert words in fault
    table, skipped = read(root, skip_bad=True)
    assert table.image_ids == ["b.png", "deep/a.bmp"]
    assert images_of(skipped) == {"a.jpg"}  # a mask that is nobody's is no image that was left out


def test_a_folder_of_masks_under_a_near_name(root: Path) -> None:
    (root / "masks").rename(root / "Masks")
    assert "Masks is there, which differs in case" in fault_of(root)
