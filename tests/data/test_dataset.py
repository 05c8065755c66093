"""Samples that depend on (seed, epoch, row) alone, padding, and the pixels' mean and spread against numpy."""

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader

from sever.config import AugmentSettings
from sever.data import dataset, rle
from sever.data.dataset import (
    StripDataset,
    collate,
    count_levels,
    measure_pixels,
    start_worker,
)
from sever.data.reader import ImageReader
from sever.data.samplers import EpochSampler, SampleKey
from sever.data.table import ImageTable
from sever.data.transforms import build_augmentation
from sever.errors import InputError

SIZES = [(24, 40), (17, 33), (24, 40), (30, 20), (8, 64)]


def write_table(folder: Path, images: list[np.ndarray], masks: list[np.ndarray]) -> ImageTable:
    rows = []
    for index, (image, masks_chw) in enumerate(zip(images, masks, strict=True)):
        path = folder / f"{index}.png"
        assert cv2.imwrite(str(path), image if image.ndim == 2 else image[..., ::-1])
        runs = {f"runs_{c}": text for c, text in enumerate(rle.encode_masks(masks_chw))}
        height, width = image.shape[:2]
        rows.append({"image_id": path.name, "path": str(path), "height": height, "width": width, "group": None, **runs})
    return ImageTable(pd.DataFrame(rows), tuple(str(c + 1) for c in range(len(masks[0]))))


def random_images(sizes: list[tuple[int, int]], channels: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shape = () if channels == 1 else (channels,)
    return [rng.integers(0, 256, (*size, *shape), dtype=np.uint8) for size in sizes]


def random_masks(sizes: list[tuple[int, int]]) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [(rng.random((2, *size)) < 0.2).astype(np.uint8) for size in sizes]


@pytest.fixture
def colour_table(tmp_path: Path) -> ImageTable:
    return write_table(tmp_path, random_images(SIZES, 3), random_masks(SIZES))


def test_without_augmentation_the_whole_image_as_stored(colour_table: ImageTable) -> None:
    samples = StripDataset(colour_table, channels=3)
    assert len(samples) == 5
    images, masks = random_images(SIZES, 3), random_masks(SIZES)
    for row in range(5):
        pixels_chw, masks_chw = samples[SampleKey(0, row)]
        assert pixels_chw.dtype == masks_chw.dtype == torch.uint8
        assert pixels_chw.is_contiguous()
        assert (pixels_chw.numpy() == images[row].transpose(2, 0, 1)).all()
        assert (masks_chw.numpy() == masks[row]).all()


def test_one_channel_is_grey(tmp_path: Path) -> None:
    images = random_images(SIZES, 1)
    samples = StripDataset(write_table(tmp_path, images, random_masks(SIZES)), channels=1)
    for row, image in enumerate(images):
        assert (samples[SampleKey(0, row)][0].numpy() == image[None]).all()


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine of one core
@pytest.mark.parametrize("workers", [0, 2])
def test_samples_depend_on_seed_epoch_and_row_alone(colour_table: ImageTable, workers: int) -> None:
    augment = build_augmentation(AugmentSettings(recipe="heavy", crop=(16, 16)))
    samples = StripDataset(colour_table, channels=3, augmentation=augment, seed=7)
    sampler = EpochSampler(len(samples), seed=1, shuffle=True)
    loader = DataLoader(
        samples,
        batch_size=2,
        sampler=sampler,
        collate_fn=partial(collate, multiple=8),
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=start_worker if workers else None,
    )
    for epoch, skip in [(0, 0), (1, 2)]:
        sampler.set_position(epoch, skip)
        keys = list(sampler)
        pixels = torch.cat([pixels for pixels, _ in loader])
        torch.manual_seed(epoch)  # no matter
        for key, found in zip(keys, pixels, strict=True):
            alone = samples[key][0]
            _, height, width = alone.shape
            assert torch.equal(found[:, :height, :width], alone)  # what is beyond is the batch's padding


def test_seed_epoch_and_row_each_change_the_sample(tmp_path: Path) -> None:
    images, masks = random_images([(24, 40)], 1) * 2, random_masks([(24, 40)]) * 2
    table = write_table(tmp_path, images, masks)
    augment = build_augmentation(AugmentSettings(recipe="none", crop=(8, 8)))

    def pixels(seed: int, epoch: int, row: int) -> bytes:
        key = SampleKey(epoch, row)
        return StripDataset(table, 1, augment, seed)[key][0].numpy().tobytes()

    assert pixels(0, 0, 0) == pixels(0, 0, 0)
    assert len({pixels(0, 0, 0), pixels(1, 0, 0), pixels(0, 1, 0), pixels(0, 0, 1)}) == 4


def test_an_image_that_has_changed_since_the_labels_were_read(tmp_path: Path, colour_table: ImageTable) -> None:
    cv2.imwrite(str(tmp_path / "2.png"), np.zeros((10, 40, 3), np.uint8))
    with pytest.raises(InputError, match=r"2\.png is 10x40 pixels now, but was 24x40"):
        StripDataset(colour_table, channels=3)[SampleKey(0, 2)]


# --- batches


def test_images_and_masks_of_different_sizes_are_padded_with_their_edge() -> None:
    small = torch.tensor([[[1, 2], [3, 4]]], dtype=torch.uint8), torch.tensor([[[0, 0], [0, 1]]] * 2).byte()
    wide = torch.arange(5, dtype=torch.uint8).reshape(1, 1, 5), torch.tensor([[[0, 1, 1, 0, 0]]] * 2).byte()
    pixels, masks = collate([small, wide], multiple=3)
    assert pixels.dtype == masks.dtype == torch.uint8
    assert pixels[0, 0].tolist() == [[1, 2, 2, 2, 2, 2], [3, 4, 4, 4, 4, 4], [3, 4, 4, 4, 4, 4]]
    assert pixels[1, 0].tolist() == [[0, 1, 2, 3, 4, 4]] * 3
    assert masks[0, 1].tolist() == [[0] * 6, [0, 1, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1]]
    assert masks[1, 0].tolist() == [[0, 1, 1, 0, 0, 0]] * 3


def test_images_that_fit_are_left_as_they_are() -> None:
    sample = torch.randint(0, 255, (3, 32, 64), dtype=torch.uint8), torch.ones(4, 32, 64, dtype=torch.uint8)
    pixels, masks = collate([sample, sample], multiple=32)
    assert torch.equal(pixels, torch.stack([sample[0]] * 2))
    assert torch.equal(masks, torch.stack([sample[1]] * 2))


# --- mean and standard deviation


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("workers", [1, 4])
def test_mean_and_spread_are_those_of_all_pixels(tmp_path: Path, channels: int, workers: int) -> None:
    images = random_images(SIZES, channels)
    table = write_table(tmp_path, images, random_masks(SIZES))
    mean, std = measure_pixels(table, ImageReader(channels), workers)
    pixels = np.concatenate([image.reshape(-1, channels) for image in images]) / 255
    assert mean == pytest.approx(pixels.mean(axis=0), rel=1e-12)
    assert std == pytest.approx(pixels.std(axis=0), rel=1e-12)


def test_mean_and_spread_by_hand(tmp_path: Path) -> None:
    images = [np.array([[0, 0, 0]], np.uint8), np.array([[255]], np.uint8)]
    table = write_table(tmp_path, images, [np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1, 1), np.uint8)])
    assert measure_pixels(table, ImageReader(1)) == ((0.25,), (pytest.approx(0.1875**0.5, rel=1e-15),))


def test_sixteen_bit_images_are_read_and_measured_by_their_significant_bits(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 4096, (20, 30), dtype=np.uint16)
    table = write_table(tmp_path, [image], [np.zeros((1, 20, 30), np.uint8)])
    pixels, _ = StripDataset(table, 1, significant_bits=12)[SampleKey(0, 0)]
    assert np.abs(pixels[0].numpy() - image / 4095 * 255).max() <= 1
    (mean,), _ = measure_pixels(table, ImageReader(1, significant_bits=12))
    assert mean == pytest.approx((image / 4095).mean(), abs=0.003)


def test_images_larger_than_a_float32_can_count_are_counted_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    image_hwc = np.random.default_rng(0).integers(0, 256, (37, 11, 3), dtype=np.uint8)
    monkeypatch.setattr(dataset, "COUNTABLE_PIXELS", 50)
    expected = [np.bincount(image_hwc[..., channel].ravel(), minlength=256) for channel in range(3)]
    assert (count_levels(image_hwc) == expected).all()


def test_a_channel_that_never_changes_is_refused(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    image[..., 2] = 7
    table = write_table(tmp_path, [image], [np.zeros((1, 20, 30), np.uint8)])
    with pytest.raises(InputError, match=r"same value.*in_channels"):
        measure_pixels(table, ImageReader(3))
    assert len(measure_pixels(table, ImageReader(1))[0]) == 1
