"""The fingerprint of data sets whose every number is known."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from sever.config import DataSettings
from sever.data.fingerprint import ClassFacts, Fingerprint, grain_of, take_fingerprint
from sever.data.layouts import read_table


def write(root: Path, name: str, labels_hw: np.ndarray, colour: bool = False) -> None:
    rng = np.random.default_rng(len(name))
    image = rng.integers(0, 200, (*labels_hw.shape, 3 if colour else 1), dtype=np.uint8)
    for kind, pixels in (("images", image), ("masks", labels_hw)):
        (root / kind).mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(root / kind / f"{name}.png"), pixels)


def fingerprint_of(root: Path, groups: Path | None = None) -> Fingerprint:
    (root / "classes.txt").write_text("pit\nscar\nstain\n")
    return take_fingerprint(read_table(DataSettings(root=root, groups=groups))[0])


def blank(height: int = 40, width: int = 60) -> np.ndarray:
    return np.zeros((height, width), np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    two_pits, scar = blank(), blank(50, 64)
    two_pits[5:8, 5:10], two_pits[20:22, 20:22] = 1, 1  # 15 pixels, 3 across; 4 pixels, 2 across
    scar[10:12, 10:40] = 2  # 60 pixels, 2 across
    for name, labels_hw in (("a", two_pits), ("b", two_pits), ("c", scar), ("d", blank())):
        write(tmp_path, name, labels_hw)
    return tmp_path


def test_sizes_classes_and_spots_are_counted(root: Path) -> None:
    found = fingerprint_of(root)
    assert (found.images, found.clean_images, found.grey, found.groups) == (4, 1, True, None)
    assert (found.smallest, found.largest, found.commonest) == ((40, 60), (50, 64), (40, 60))
    assert not found.one_size
    assert found.classes == (
        ClassFacts("pit", images=2, area_low=19, area_median=19, spot_median=9, spot_side=2),
        ClassFacts("scar", images=1, area_low=60, area_median=60, spot_median=60, spot_side=2),
        ClassFacts("stain", images=0, area_low=0, area_median=0, spot_median=0, spot_side=0),
    )


def test_one_coloured_image_makes_a_data_set_coloured(root: Path) -> None:
    write(root, "e", blank(), colour=True)
    assert not fingerprint_of(root).grey


def test_groups_are_counted_where_they_are_known(root: Path, tmp_path: Path) -> None:
    groups = tmp_path / "mine.csv"
    groups.write_text("image,group\na.png,1\nb.png,1\nc.png,2\nd.png,3\n")
    assert fingerprint_of(root, groups).groups == 3


@pytest.mark.parametrize(("block", "grain"), [(1, 1), (9, 5)])
def test_the_grain_of_noise_in_blocks(block: int, grain: int) -> None:
    """Blocks of b pixels: at a shift of s the correlation is 1 - s / b, which falls below one half at 5 of 9."""
    noise = np.random.default_rng(0).integers(0, 255, (512 // block, 512 // block), dtype=np.uint8)
    image_hw = np.kron(noise, np.ones((block, block), np.uint8))
    assert grain_of(image_hw) == grain
