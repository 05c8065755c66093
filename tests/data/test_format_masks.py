"""Mask pictures: what values and colours mean, where masks lie and how they are named; by hand."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from format_files import HEIGHT, WIDTH, areas, fault_of, read, save, save_images, save_text


def mask(*boxes: tuple[int, int, int, int, object], channels: int = 0) -> np.ndarray:
    """An 8 x 10 mask with boxes (top, left, bottom, right, value); colours are given as BGR, as OpenCV writes."""
    pixels = np.zeros((HEIGHT, WIDTH, channels) if channels else (HEIGHT, WIDTH), np.uint8)
    for top, left, bottom, right, value in boxes:
        pixels[top:bottom, left:right] = value
    return pixels


RED, GREEN = (0, 0, 255), (0, 255, 0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    save_images(tmp_path / "images", "a.jpg", "b.png")
    save(tmp_path / "masks" / "a.png", mask((0, 0, 2, 3, 127), (4, 4, 8, 6, 255)))
    save(tmp_path / "masks" / "b.png", mask())
    return tmp_path


def test_values_mean_what_is_said(root: Path) -> None:
    table = read(root, mask_values={127: "pit", 255: "scratch"})[0]
    assert table.class_names == ("pit", "scratch")
    assert areas(table) == {"a.jpg": [6, 8], "b.png": [0, 0]}
    assert areas(read(root, mask_values={127: "pit", 255: "pit"})[0])["a.jpg"] == [14]
    assert areas(read(root, mask_values={127: "pit", 255: "background"})[0])["a.jpg"] == [6]
    ignoring = read(root, mask_values={127: "pit", 255: "ignore"})[0]
    assert areas(ignoring)["a.jpg"] == [6]
    assert (ignoring.mask(0) == 255).sum() == 8
    (root / "classes.txt").write_text("scratch\npit\n")
    assert areas(read(root, mask_values={127: "pit", 255: "scratch"})[0])["a.jpg"] == [8, 6]
    assert "dent" in fault_of(root, mask_values={127: "dent"})


def test_a_value_that_is_not_said(root: Path) -> None:
    fault = fault_of(root, mask_values={255: "pit"})
    for words in ("a.jpg", "value 127", "6 pixels", "row 0, column 0", "data.mask_values", "255: pit"):
        assert words in fault
    fault = fault_of(root, num_classes=2)
    for words in ("value 255", "127", "data.ignore_value", "1..2"):
        assert words in fault


def test_ignored_values(root: Path) -> None:
    table = read(root, mask_values={127: "pit"}, ignore_value=255)[0]
    assert areas(table)["a.jpg"] == [6]
    assert (table.mask(0)[0] == 255).sum() == 8
    assert "both" in fault_of(root, mask_values={127: "pit"}, ignore_value=127) or "mend one" in fault_of(
        root, mask_values={127: "pit"}, ignore_value=127
    )
    # With one class 255 is white, the class; where it is ignored it is not.
    save(root / "masks" / "a.png", mask((4, 4, 8, 6, 255)))
    assert areas(read(root, num_classes=1)[0])["a.jpg"] == [8]
    assert areas(read(root, num_classes=1, ignore_value=255)[0])["a.jpg"] == [0]


def test_colours(root: Path) -> None:
    save(root / "masks" / "a.png", mask((0, 0, 2, 3, RED), (4, 4, 8, 6, GREEN), channels=3))
    values = {"#ff0000": "pit", "0,255,0": "scratch"}
    assert areas(read(root, mask_values=values)[0]) == {"a.jpg": [6, 8], "b.png": [0, 0]}
    table = read(root, mask_values={"#ff0000": "pit"}, ignore_value="#00ff00")[0]
    assert (table.mask(0)[0] == 255).sum() == 8
    fault = fault_of(root, mask_values={"#ff0000": "pit"})
    assert "colour #00ff00" in fault
    assert "colour #ff0000" in fault_of(root, num_classes=2) or "#00ff00" in fault_of(root, num_classes=2)
    assert "one kind" in fault_of(root, mask_values={"#ff0000": "pit", 3: "scratch"})
    assert "#rrggbb" in fault_of(root, mask_values={"#ff0000": "pit"}, ignore_value=255)


def test_white_as_a_colour(root: Path) -> None:
    save(root / "masks" / "a.png", mask((0, 0, 2, 3, 255)))  # grey: it has no colours, but white is one
    assert areas(read(root, mask_values={"#ffffff": "pit"})[0])["a.jpg"] == [6]


def save_palette(path: Path, indices: np.ndarray, colours: list[tuple[int, int, int]]) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    path.parent.mkdir(parents=True, exist_ok=True)
    rows = b"".join(b"\0" + row.tobytes() for row in indices.astype(np.uint8))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", indices.shape[1], indices.shape[0], 8, 3, 0, 0, 0))
        + chunk(b"PLTE", bytes(value for colour in colours for value in colour))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


VOC_PALETTE = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0)]


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    save_images(tmp_path / "JPEGImages", "a.jpg", "b.jpg")
    palette = [*VOC_PALETTE, *[(0, 0, 0)] * 251, (224, 224, 192)]
    indices = mask((0, 0, 2, 3, 1), (4, 4, 8, 6, 2), (7, 0, 8, 4, 255))
    save_palette(tmp_path / "SegmentationClass" / "a.png", indices, palette)
    save_palette(tmp_path / "SegmentationClass" / "b.png", mask(), palette)
    save_palette(tmp_path / "SegmentationObject" / "a.png", mask((0, 0, 8, 10, 9)), palette)
    (tmp_path / "classes.txt").write_text("pit\nscratch\n")
    return tmp_path


def test_voc_by_hand(voc: Path) -> None:
    assert "value 255" in fault_of(voc)  # the border that VOC leaves open is told
    table = read(voc, ignore_value=255)[0]
    assert areas(table) == {"a.jpg": [6, 8], "b.jpg": [0, 0]}
    assert (table.mask(0)[0] == 255).sum() == 4


def test_voc_by_the_colours_of_a_label_map(voc: Path) -> None:
    """As CVAT writes it: true colours or a palette, whose numbers then say nothing."""
    (voc / "classes.txt").unlink()
    save_text(
        voc / "labelmap.txt",
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\nscratch:0,128,0::\npit:128,0,0::\nborder:224,224,192::\n",
    )
    table = read(voc)[0]
    assert table.class_names == ("scratch", "pit", "border")
    assert areas(table)["a.jpg"] == [8, 6, 4]
    save(voc / "SegmentationClass" / "a.png", mask((0, 0, 2, 3, (0, 0, 128)), (4, 4, 8, 6, (0, 128, 0)), channels=3))
    assert areas(read(voc)[0])["a.jpg"] == [8, 6, 0]
    (voc / "labelmap.txt").write_text("background:::\nscratch:::\npit:::\n")  # as datumaro: VOC's own colours
    assert areas(read(voc)[0])["a.jpg"] == [6, 8]
    (voc / "labelmap.txt").write_text("background:::\nscratch:0,128,0::\n")
    assert "'background' no colour" in fault_of(voc)
    (voc / "labelmap.txt").write_text("pit:128,0::\n")
    assert "labelmap.txt, row 1" in fault_of(voc)


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("kos01/Part0.jpg", "kos01/Part0_label.bmp"),  # KolektorSDD
        ("train/10000.png", "train/10000_GT.png"),  # KolektorSDD2
        ("Class1/Train/0576.PNG", "Class1/Train/Label/0576_label.PNG"),  # DAGM
        ("x.jpg", "x_mask.tif"),
        ("deep/x.tif", "deep/masks/x.png"),
    ],
)
def test_masks_beside_images(tmp_path: Path, image: str, label: str) -> None:
    save_images(tmp_path, image, "clean/y.png")
    save(tmp_path / label, mask((0, 0, 2, 3, 255)))
    fault = fault_of(tmp_path, num_classes=1, layout="mask_beside")
    assert "clean/y.png" in fault
    assert "its mask is missing" in fault
    table = read(tmp_path, num_classes=1, missing_mask="clean", layout="mask_beside")[0]
    assert areas(table) == {image: [6], "clean/y.png": [0]}


def test_masks_beside_images_are_recognised(tmp_path: Path) -> None:
    save_images(tmp_path, "x.jpg")
    save(tmp_path / "x_GT.png", mask((0, 0, 2, 3, 1)))
    assert areas(read(tmp_path, num_classes=1)[0]) == {"x.jpg": [6]}


@pytest.mark.parametrize("name", ["a.png", "a.jpg.png", "a_mask.png", "a_GT.png", "a_label.bmp", "a.tif"])
def test_names_in_a_folder_of_masks(root: Path, name: str) -> None:
    (root / "masks" / "a.png").unlink()
    save(root / "masks" / name, mask((0, 0, 2, 3, 1)))
    assert areas(read(root, num_classes=1)[0])["a.jpg"] == [6]


def test_two_masks_for_one_image(root: Path) -> None:
    save(root / "masks" / "b_mask.png", mask())
    fault = fault_of(root, mask_values={127: "pit", 255: "scratch"})
    assert "b.png" in fault
    assert "b_mask.png" in fault


def test_an_image_whose_name_ends_like_a_mask(root: Path) -> None:
    save_images(root / "images", "b_mask.png")
    save(root / "masks" / "b_mask.png", mask((0, 0, 2, 3, 1)))
    assert "mask_folder or mask_beside" in fault_of(root, num_classes=1)
    table = read(root, num_classes=1, include=["b*"], layout="mask_folder")[0]
    assert areas(table) == {"b.png": [0], "b_mask.png": [6]}


def test_a_kept_suffix_tells_two_images_apart(root: Path) -> None:
    save_images(root / "images", "b.jpg")
    save(root / "masks" / "b.jpg.png", mask((0, 0, 2, 3, 1)))
    (root / "masks" / "b.png").unlink()
    save(root / "masks" / "b.png.png", mask())
    assert areas(read(root, num_classes=1, include=["b*"])[0]) == {"b.jpg": [6], "b.png": [0]}


def test_jpeg_is_no_mask(tmp_path: Path) -> None:
    save_images(tmp_path / "images", "a.png")
    image = tmp_path / "masks" / "a.png"
    save(tmp_path / "masks" / "a.jpg", mask()).rename(image)
    assert "JPEG" in fault_of(tmp_path, num_classes=1)


@pytest.fixture
def mvtec(tmp_path: Path) -> Path:
    save_images(tmp_path, "train/good/000.png", "test/good/000.png", "test/pit/000.png", "test/scratch/000.png")
    save(tmp_path / "ground_truth/pit/000_mask.png", mask((0, 0, 2, 3, 255)))
    save(tmp_path / "ground_truth/scratch/000_mask.png", mask((4, 4, 8, 6, 1)))
    return tmp_path


def test_mvtec_by_hand(mvtec: Path) -> None:
    table = read(mvtec)[0]
    assert table.class_names == ("pit", "scratch")
    assert areas(table) == {
        "test/good/000.png": [0, 0],
        "test/pit/000.png": [6, 0],
        "test/scratch/000.png": [0, 8],
        "train/good/000.png": [0, 0],
    }


def test_mvtec_without_mask_is_told(mvtec: Path) -> None:
    (mvtec / "ground_truth/pit/000_mask.png").unlink()
    fault = fault_of(mvtec)
    assert "test/pit/000.png" in fault
    assert "ground_truth/pit/000_mask.png" in fault
    save(mvtec / "ground_truth/good/000_mask.png", mask())
    assert "test/good/000.png" in fault_of(mvtec)


def test_mvtec_strange_values(mvtec: Path) -> None:
    save(mvtec / "ground_truth/pit/000_mask.png", mask((0, 0, 2, 3, 77)))
    assert "value 77" in fault_of(mvtec)


def test_of_colours_that_nobody_named_black_is_not_told_first(tmp_path: Path) -> None:
    save_images(tmp_path / "images", "a.png")
    colours = np.zeros((HEIGHT, WIDTH, 3))
    colours[2:4, 3:5] = (0, 0, 255)
    save(tmp_path / "masks" / "a.png", colours)
    fault = fault_of(tmp_path, num_classes=1)
    assert "the mask has the colour #ff0000, which is not a class" in fault
    assert "4 pixels" in fault


@pytest.fixture
def roboflow(tmp_path: Path) -> Path:
    """A download of Roboflow as semantic masks."""
    for part in ("train", "valid"):
        save_images(tmp_path / part, "x_jpg.rf.1.jpg")
        labels = np.zeros((HEIGHT, WIDTH))
        labels[0, :3], labels[1, :2] = 2, 1
        save(tmp_path / part / "x_jpg.rf.1_mask.png", labels)
        save_text(tmp_path / part / "_classes.csv", "Pixel Value, Class\n0, background\n1, pit\n2, scratch\n")
    return tmp_path


def test_roboflow_says_what_values_mean(roboflow: Path) -> None:
    table = read(roboflow)[0]
    assert table.class_names == ("pit", "scratch")
    assert areas(table) == {f"{part}/x_jpg.rf.1.jpg": [2, 3] for part in ("train", "valid")}
    assert read(roboflow, mask_values={"1": "dent", "2": "dent"})[0].class_names == ("dent",)


def test_roboflow_values_that_are_none(roboflow: Path) -> None:
    save_text(roboflow / "valid" / "_classes.csv", "Pixel Value, Class\n0, background\n1, scratch\n2, pit\n")
    assert "names other values than" in fault_of(roboflow)
    for row in ("1", "x, pit", "256, pit", "0, pit"):
        save_text(roboflow / "train" / "_classes.csv", f"Pixel Value, Class\n0, background\n{row}\n")
        assert "_classes.csv, row 3" in fault_of(roboflow)
