"""A data set in numbers: labels counted by hand and against the competition's figures, pixels of made images."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from sever.data import rle
from sever.data.crops import fitting_crop
from sever.data.stats import QUANTILES, PixelStats, label_stats, pixel_stats, propose
from sever.data.table import ImageTable

SHARED = Path(__file__).parents[3] / "shared" / "data" / "severstal"


def table_of(masks: list[np.ndarray], names: tuple[str, ...], paths: list[Path] | None = None) -> ImageTable:
    frame = pd.DataFrame(
        {
            "image_id": [f"{row}.png" for row in range(len(masks))],
            "path": [str(path) for path in paths or [Path("nowhere")] * len(masks)],
            "height": [mask.shape[1] for mask in masks],
            "width": [mask.shape[2] for mask in masks],
            "group": pd.Series([None] * len(masks), dtype=object),
            **{f"runs_{index}": [rle.encode(mask[index]) for mask in masks] for index in range(len(names))},
        }
    )
    return ImageTable(frame, names)


def test_labels_by_hand() -> None:
    masks = np.zeros((4, 2, 10, 20), np.uint8)
    masks[0, 0, 0:2, 0:3] = 1  # 6 pixels, one spot
    masks[1, 0, 0, 0] = masks[1, 0, 1, 1] = 1  # touch by a corner: one spot of 2 pixels in a box of 2x2
    masks[1, 0, 5:9, 10:12] = 1  # 8 pixels, 2 across: 10 pixels in all
    masks[1, 1, 5:9, 10:12] = 1
    stats = label_stats(table_of(list(masks), ("pit", "scratch")))
    assert (stats.images, stats.clean, stats.groups) == (4, 2, None)
    assert stats.classes_an_image == {0: 2, 1: 1, 2: 1}
    assert stats.together == ((2, 1), (1, 1))
    assert stats.sizes == ((10, 20, 4),)
    pit, scratch = stats.classes
    assert (pit.images, pit.spots, scratch.images, scratch.spots) == (2, 3, 1, 1)
    assert (pit.areas[0], pit.areas[-1]) == (6, 10)
    assert pit.area_share == pytest.approx((6 + 10) / 2 / 200)
    assert (pit.spot_areas[0], pit.spot_areas[QUANTILES.index(0.5)], pit.spot_areas[-1]) == (2, 6, 8)
    assert set(pit.spot_sides) == {2}


def test_a_class_that_no_image_shows_has_no_areas() -> None:
    stats = label_stats(table_of([np.zeros((1, 8, 8), np.uint8)], ("pit",)))
    assert (stats.classes[0].areas, stats.classes[0].area_share, stats.classes[0].spots) == ((), 0.0, 0)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the competition's image-level labels are not here")
def test_the_competitions_class_counts_come_out_right() -> None:
    labels = pd.read_csv(SHARED / "image_level_labels_12568.csv")
    columns = [name for name in labels.columns if name[-1] in "1234" and set(labels[name]) <= {0, 1}]
    assert len(columns) == 4
    masks = [
        np.array(row, np.uint8)[:, None, None] * np.ones((1, 1, 1), np.uint8) for row in labels[columns].to_numpy()
    ]
    stats = label_stats(table_of(masks, ("1", "2", "3", "4")))
    # The competition's data, as counted by many of its participants.
    assert (stats.images, stats.clean) == (12568, 5902)
    assert [each.images for each in stats.classes] == [897, 247, 5150, 801]
    assert stats.classes_an_image == {0: 5902, 1: 6239, 2: 425, 3: 2}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the competition's run lengths are not here")
def test_areas_of_real_run_lengths_are_the_sums_of_their_lengths() -> None:
    rows = pd.read_csv(SHARED / "pseudo_labels_test_1801.csv").fillna("")
    name = rows["ImageId_ClassId"].str.rsplit("_", n=1)
    rows = rows.assign(image=name.str[0], number=name.str[1])
    wide = rows.pivot(index="image", columns="number", values="EncodedPixels").iloc[:200]
    frame = pd.DataFrame(
        {"image_id": wide.index, "path": "nowhere", "height": 256, "width": 1600, "group": None}
        | {f"runs_{at}": wide[str(at + 1)].to_numpy() for at in range(4)}
    )
    stats = label_stats(ImageTable(frame, ("1", "2", "3", "4")))
    for at, each in enumerate(stats.classes):
        areas = sorted(sum(map(int, text.split()[1::2])) for text in frame[f"runs_{at}"] if text)
        assert each.images == len(areas)
        if areas:
            assert (each.areas[0], each.areas[-1]) == (areas[0], areas[-1])
            assert each.areas[QUANTILES.index(0.5)] == areas[(len(areas) + 1) // 2 - 1]


def made(folder: Path, images: list[np.ndarray]) -> ImageTable:
    paths = [folder / f"{row}.png" for row in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        assert cv2.imwrite(str(path), image)
    return table_of([np.zeros((1, *image.shape[:2]), np.uint8) for image in images], ("pit",), paths)


def test_pixels_by_hand(tmp_path: Path) -> None:
    grey = np.full((10, 20), 51, np.uint8)  # a level of 0.2
    half = grey.copy()
    half[:, :5] = 0  # a quarter of the columns is a dark margin
    half[:, 18:] = 255
    coloured = np.dstack([grey, grey, grey + 40])
    stats = pixel_stats(made(tmp_path, [grey, half, coloured]), 10)
    assert (stats.images, stats.bit_depths, stats.bits_used, stats.coloured) == (3, {8: 3}, None, 1)
    assert stats.brightness[0] == pytest.approx(0.2)
    assert stats.contrast[0] == pytest.approx(0, abs=1e-6)
    assert (stats.saturated[1], stats.black[1], stats.margins[1]) == (pytest.approx(0.1), pytest.approx(0.25), 0.25)


def test_ignored_pixels_are_left_out_but_for_the_margin(tmp_path: Path) -> None:
    """The left half is dark and ignored; a second image is ignored as a whole, and says nothing."""
    picture = np.full((10, 20), 204, np.uint8)
    picture[:, :10] = 0
    ignored = picture == 0
    paths = [tmp_path / "0.png", tmp_path / "1.png", tmp_path / "2.png"]
    for path, pixels in zip(paths, (picture, picture, picture.astype(np.uint16) * 16), strict=True):
        assert cv2.imwrite(str(path), pixels)
    table = table_of([np.zeros((1, 10, 20), np.uint8)] * 3, ("pit",), paths)
    texts = [rle.encode(each.astype(np.uint8)) for each in (ignored, np.ones_like(ignored), ignored)]
    stats = pixel_stats(ImageTable(table.frame.assign(ignored=texts), table.class_names), 10)
    assert stats.images == 2
    assert stats.brightness == pytest.approx((0.8, 204 * 16 / 4095), abs=1e-4)
    assert (stats.contrast, stats.black) == (pytest.approx((0, 0), abs=1e-6), (0, 0))
    assert stats.margins == (0.5, 0.5)
    whole = pixel_stats(table, 10)
    assert whole.images == 3
    assert whole.black == (0.5, 0.5, 0.5)


def test_levels_of_deep_images_are_shares_of_the_bits_in_use(tmp_path: Path) -> None:
    dim, bright = np.full((8, 8), 1000, np.uint16), np.full((8, 8), 4095, np.uint16)
    stats = pixel_stats(made(tmp_path, [dim, bright]), 10)
    assert (stats.bit_depths, stats.bits_used) == ({16: 2}, 12)
    assert stats.brightness == (pytest.approx(1000 / 4095), pytest.approx(1.0))
    labels = label_stats(table_of([np.zeros((1, 8, 8), np.uint8)], ("pit",)))
    bits = next(each for each in propose(labels, stats) if each.setting == "data.significant_bits")
    assert bits.value == 12


def test_only_so_many_images_are_looked_at(tmp_path: Path) -> None:
    table = made(tmp_path, [np.full((8, 8), level, np.uint8) for level in range(0, 250, 10)])
    seen: list[int] = []
    stats = pixel_stats(table, 5, seen.append)
    assert stats.images == len(seen) == 5
    assert (stats.brightness[0], stats.brightness[-1]) == (0, pytest.approx(240 / 255))


def test_settings_that_follow() -> None:
    masks = [np.zeros((2, 600, 1600), np.uint8) for _ in range(23)]
    for mask in masks[:22]:
        mask[0, :10, :20] = 1
    masks[22][1, :30, :40] = 1
    labels = label_stats(table_of(masks, ("pit", "scratch")))
    stats = plain_pixels()
    found = {each.setting: each.value for each in propose(labels, stats)}
    # A tenth: of one scratch, and of 22 pits, half would be a rule on next to no evidence.
    assert found == {"rules.min_pixels": [20, 120], "augment.crop": [256, 416], "sampling.balance": "class"}


def plain_pixels() -> PixelStats:
    return PixelStats(1, (0.5,), (0.1,), (0.0,), (0.0,), (0.0,), {8: 1}, None, 0)


@pytest.mark.parametrize(
    ("largest", "commonest", "crop"),
    [
        ((200, 200), (200, 200), None),
        ((256, 256), (256, 256), None),
        ((256, 1600), (256, 1600), (256, 416)),
        ((1600, 256), (1600, 256), (416, 256)),
        ((2000, 2000), (300, 300), (256, 288)),
        ((400, 400), (40, 40), (32, 32)),
    ],
)
def test_crops_fit_the_commonest_image(
    largest: tuple[int, int], commonest: tuple[int, int], crop: tuple[int, int] | None
) -> None:
    assert fitting_crop(largest, commonest) == crop
