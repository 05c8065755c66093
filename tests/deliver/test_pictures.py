"""Picture sheets: contours where they belong, sizes that fit, and nothing lost; their looks are for a person's eyes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from sever.deliver.canvas import MARGIN, draw_contours, palette
from sever.deliver.pictures import SHEET_HEIGHT, SHEET_WIDTH, Sample, picture_sheet

NAMES = ("pit", "scratch")


def grey(height: int, width: int, value: int = 90) -> np.ndarray:
    return np.full((height, width, 1), value, np.uint8)


def box(height: int, width: int, rows: slice, columns: slice, index: int = 0) -> np.ndarray:
    masks_chw = np.zeros((len(NAMES), height, width), np.uint8)
    masks_chw[index, rows, columns] = 1
    return masks_chw


def read(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def times_shown(sheet: np.ndarray, colour: tuple[int, int, int]) -> int:
    """Connected patches of exactly this colour."""
    return cv2.connectedComponents((sheet == colour).all(axis=2).astype(np.uint8))[0] - 1


def test_contour_lies_on_the_outermost_pixels() -> None:
    picture = draw_contours(grey(8, 9), box(8, 9, slice(2, 6), slice(3, 8)), palette(2))
    line = (picture == palette(2)[0]).all(axis=2)
    expected = np.zeros((8, 9), bool)
    expected[2:6, 3:8] = True
    expected[3:5, 4:7] = False
    np.testing.assert_array_equal(line, expected)
    np.testing.assert_array_equal(picture[~line], 90)


def test_every_class_in_its_colour_and_holes_too() -> None:
    masks_chw = box(20, 20, slice(1, 15), slice(1, 15)) + box(20, 20, slice(17, 19), slice(2, 9), index=1)
    masks_chw[0, 5:10, 5:10] = 0
    picture = draw_contours(grey(20, 20), masks_chw)
    assert times_shown(picture, palette(2)[0]) == 2  # around the box and around its hole
    assert times_shown(picture, palette(2)[1]) == 1


def test_the_image_itself_is_not_drawn_on() -> None:
    for channels in (1, 3):
        image_hwc = np.repeat(grey(10, 10), channels, axis=2)
        draw_contours(image_hwc, box(10, 10, slice(2, 5), slice(2, 5)))
        assert (image_hwc == 90).all()


def test_colours_are_in_the_order_red_green_blue(tmp_path: Path) -> None:
    image_hwc = np.full((300, 400, 3), (200, 100, 50), np.uint8)
    empty = np.zeros((2, 300, 400), np.uint8)
    picture_sheet(tmp_path / "sheet.png", [Sample("x", image_hwc, None, empty)], NAMES)
    assert times_shown(read(tmp_path / "sheet.png"), (200, 100, 50)) == 2


def test_no_two_classes_share_a_colour() -> None:
    assert len(set(palette(25))) == 25
    assert palette(3) == palette(25)[:3]


@pytest.mark.parametrize(
    ("height", "width", "panels"),
    [
        (256, 1600, (1600, 256)),  # a strip as it is
        (512, 6400, (1600, 128)),  # a large strip, shown smaller
        (200, 200, (400, 400)),  # a tiny image, twice as large
        (900, 1200, (529, 397)),  # three fit beside each other
        (40, 30, (240, 320)),  # eight times as large
        (3000, 200, (107, 1600)),  # a column
        (1, 1, (300, 300)),
    ],
)
def test_panels_fit_the_sheet(tmp_path: Path, height: int, width: int, panels: tuple[int, int]) -> None:
    path = tmp_path / "sheet.png"
    masks_chw = np.zeros((2, height, width), np.uint8)
    picture_sheet(path, [Sample("x", grey(height, width, 77), masks_chw, masks_chw)], NAMES)
    sheet = read(path)
    shown = (sheet == 77).all(axis=2).astype(np.uint8)
    _, _, boxes, _ = cv2.connectedComponentsWithStats(shown, connectivity=4)
    sizes = [(int(w), int(h)) for _, _, w, h, area in boxes[1:] if area == w * h and area > 100]
    assert sizes == [panels] * 3
    assert sheet.shape[1] <= SHEET_WIDTH + 150


@pytest.mark.parametrize(("height", "width"), [(1800, 1800), (600, 4000), (2400, 200), (256, 1600)])
def test_large_images_are_scaled_to_the_sheet(tmp_path: Path, height: int, width: int) -> None:
    number = 12
    masks_chw = np.zeros((2, height, width), np.uint8)
    picture_sheet(tmp_path / "sheet.png", [Sample("x", grey(height, width), masks_chw, masks_chw)] * number, NAMES)
    sheet = read(tmp_path / "sheet.png")
    assert sheet.shape[0] <= SHEET_HEIGHT + 16 * number + 100  # gaps, legend, margins
    assert sheet.shape[1] <= SHEET_WIDTH + 150


def test_thin_defects_survive_shrinking(tmp_path: Path) -> None:
    height, width = 1024, 12800
    masks_chw = box(height, width, slice(10, 1000), slice(6001, 6002))
    picture_sheet(tmp_path / "sheet.png", [Sample("x", grey(height, width), masks_chw, masks_chw)], NAMES)
    # Legend, true and predicted.
    assert times_shown(read(tmp_path / "sheet.png"), palette(2)[0]) == 3


def test_truth_may_be_unknown(tmp_path: Path) -> None:
    masks_chw = box(256, 1600, slice(10, 60), slice(30, 90), index=1)
    picture_sheet(tmp_path / "sheet.png", [Sample("x", grey(256, 1600), None, masks_chw)], NAMES)
    assert times_shown(read(tmp_path / "sheet.png"), palette(2)[1]) == 2  # legend, predicted


def test_headings_are_written_once_a_group(tmp_path: Path) -> None:
    empty = np.zeros((2, 100, 1000), np.uint8)
    heights = []
    for headings in (("best",), ("best", "best"), ("best", "worst")):
        samples = [Sample("x", grey(100, 1000), empty, empty, heading) for heading in headings]
        picture_sheet(tmp_path / "sheet.png", samples, NAMES)
        heights.append(read(tmp_path / "sheet.png").shape[0])
    one, same, different = heights
    assert one < same < different


def test_no_words_are_cut_and_narrow_samples_share_lines(tmp_path: Path) -> None:
    """Ink at the right edge of the sheet is where a heading or a title was cut."""
    image = np.full((30, 70, 1), 90, np.uint8)
    masks = np.zeros((2, 30, 70), np.uint8)
    headings = ("Missing: the model finds a region where nothing is labelled, the largest first of all", "short")
    samples = [
        Sample(f"{number}-of-a-coil.jpg: scratch, 43.7", image, masks, masks, heading)
        for heading in headings
        for number in range(5)
    ]
    picture_sheet(tmp_path / "sheet.png", samples, ("pit", "scratch"))
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert (sheet[:, -MARGIN:] == 255).all()
    words = sheet.copy()
    words[:, :MARGIN] = 255
    last = np.flatnonzero((words < 128).any(axis=(0, 2)))[-1]
    assert last < sheet.shape[1] - MARGIN - 1, "the last letter ends before the sheet does"
    alone = tmp_path / "alone.png"
    picture_sheet(alone, samples[:1], ("pit", "scratch"))
    one = cv2.imread(str(alone)).shape[0]
    assert sheet.shape[0] < 6 * one, "ten samples in lines of two, under two headings"
    assert sheet.shape[1] <= 1600 + 88 + 2 * MARGIN


def test_a_long_legend_takes_several_lines(tmp_path: Path) -> None:
    names = [f"a class with a rather long name {index}" for index in range(12)]
    empty = np.zeros((12, 60, 60), np.uint8)
    picture_sheet(tmp_path / "sheet.png", [Sample("x", grey(60, 60), empty, empty)], names)
    sheet = read(tmp_path / "sheet.png")
    assert all(times_shown(sheet, colour) == 1 for colour in palette(12))
    assert sheet.shape[1] < 1100


def test_nothing_is_left_of_a_sheet_that_fails(tmp_path: Path) -> None:
    masks_chw = np.ones((2, 9, 9), np.uint8)
    with pytest.raises(ValueError, match=r"zip\(\)"):
        picture_sheet(tmp_path / "sheet.png", [Sample("x", grey(9, 9), masks_chw, masks_chw)], ("one",))
    assert not list(tmp_path.iterdir())
