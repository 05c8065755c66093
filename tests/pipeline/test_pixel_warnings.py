"""Pixels and masks that are likely not what is meant: each kind of them is warned of once, with a count."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from command_line import quick_run, sever, train
from PIL import Image

from sever.pipeline import pixel_warnings
from sever.pipeline.inference.load import load_model
from sever.pipeline.inference.options import InferenceOptions

RNG = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def _forget() -> None:
    pixel_warnings.begin()


@pytest.fixture(scope="module")
def run(strip_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quick_run(tmp_path_factory.mktemp("warned"), "quick", strip_root)


def warned(captured: str) -> list[str]:
    return [line for line in captured.splitlines() if "warning" in line]


@pytest.fixture
def masked(tmp_path: Path) -> Path:
    """A mask folder of eight images of 16 bits, with noise of 12 bits in them, and its experiment."""
    for index in range(8):
        values = RNG.integers(0, 4096, (64, 64)).astype(np.uint16)
        mask = np.zeros((64, 64), np.uint8)
        mask[10:30, 10:30] = 1 + index % 2
        for folder, pixels in (("images", values), ("masks", mask)):
            path = tmp_path / "data" / folder / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), pixels)
    (tmp_path / "data" / "classes.txt").write_text("pit\nscab\n")
    return tmp_path / "data"


def experiment(root: Path, **data: object) -> Path:
    settings = {
        "name": "warned",
        "data": {"root": str(root)} | data,
        "folds": {"share": 0.25},
        "model": {"encoder": "resnet18", "weights": "none", "decoder_channels": [16, 16, 8, 8, 8]},
        "augment": {"recipe": "none", "crop": [64, 64]},
        "train": {"epochs": 1, "batch_size": 2, "workers": 0},
    }
    path = root.parent / "warned.yml"
    path.write_text(yaml.safe_dump(settings))
    return path


def test_bits_that_are_said_wrong_are_warned_of(masked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(experiment(masked, significant_bits=12)) == 0
    assert not warned(capsys.readouterr().err)
    assert train(experiment(masked, significant_bits=8)) == 0
    (clipped,) = [line for line in warned(capsys.readouterr().err) if "clipped" in line]
    assert "6 images of 6" in clipped
    assert "significant_bits 8" in clipped


def test_training_images_that_are_nearly_black(masked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(experiment(masked, significant_bits=15)) == 0
    assert not warned(capsys.readouterr().err)
    assert train(experiment(masked)) == 0  # 12 bits, read as 16: the mean is 1/32, and a little less as it is cut
    (dark,) = [line for line in warned(capsys.readouterr().err) if "nearly" in line]
    assert "nearly black: their mean is 0.029" in dark


def test_a_run_of_other_bits_is_warned_of_at_prediction(
    masked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(experiment(masked, significant_bits=12)) == 0
    for path in (masked / "images").iterdir():
        path.write_bytes(cv2.imencode(".png", cv2.imread(str(path), cv2.IMREAD_UNCHANGED) * 16)[1].tobytes())
    capsys.readouterr()
    arguments = ["--images", masked / "images", "--device", "cpu", "--sheet", 0]
    assert sever("predict", "-r", tmp_path / "saved" / "warned", "-o", tmp_path / "out", *arguments) == 0
    (clipped,) = warned(capsys.readouterr().err)
    assert "8 images of 8 with over 1% of the pixels clipped" in clipped
    assert "up to 9" in clipped


def test_tags_and_pages_are_warned_of_with_a_count(
    masked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exif = Image.Exif()
    exif[274] = 6
    for path in [masked / "images" / "0.png", masked / "masks" / "1.png", masked / "masks" / "0.png"]:
        Image.open(path).save(path, exif=exif)
    pages = [Image.open(masked / "images" / "2.png"), Image.open(masked / "images" / "3.png")]
    pages[0].save(masked / "images" / "2.tif", save_all=True, append_images=pages[1:])
    (masked / "images" / "2.png").unlink()
    assert train(experiment(masked, significant_bits=12)) == 0
    turned, paged = warned(capsys.readouterr().err)
    assert "2 images with an orientation tag other than 1 (such as 0.png" in turned
    assert "1 image with more than one page (such as 2.tif" in paged


def test_images_that_a_program_hands_over_are_warned_of_too(
    masked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As paths, arrays, a folder and columns; once for each kind and model, with a count."""
    assert train(experiment(masked, significant_bits=12)) == 0
    model = load_model(tmp_path / "saved" / "warned", InferenceOptions(device="cpu"))
    bright = np.full((64, 64), 60_000, np.uint16)
    exif = Image.Exif()
    exif[274] = 6
    turned = masked / "images" / "0.png"
    Image.open(turned).save(turned, exif=exif)

    def warned_by(ask: Callable[[], object]) -> list[str]:
        pixel_warnings.begin()
        capsys.readouterr()
        ask()
        first = warned(capsys.readouterr().err)
        ask()
        assert not warned(capsys.readouterr().err)
        return first

    (clipped,) = warned_by(lambda: model.inspect([bright, bright // 16]))
    assert "1 image of 2 with over 1% of the pixels clipped" in clipped
    (tag,) = warned_by(lambda: model.inspect(turned))
    assert "1 image with an orientation tag other than 1" in tag
    assert "1 image with" in warned_by(lambda: list(model.inspect_folder(masked / "images")))[0]
    assert "1 image with" in warned_by(lambda: model({"bytes": [turned.read_bytes()]}))[0]
    (dark,) = warned_by(lambda: model.inspect([bright // 4096, bright // 4096, bright // 16]))
    assert "2 images of 3 nearly black, though the mean of the training images was 0." in dark
    pixel_warnings.begin()
    for _ in range(2):  # another command may say it again
        out = ["-o", tmp_path / "out", "--overwrite", "--device", "cpu", "--sheet", 0]
        assert sever("predict", "-r", tmp_path / "saved" / "warned", "--images", turned, *out) == 0
        assert len(warned(capsys.readouterr().err)) == 1


def test_a_damaged_jpeg_is_named_and_can_be_left_out(
    run: Path, strip_root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Bytes are lost in its middle, which the decoder notices by what is missing at the end."""
    shutil.copytree(strip_root, tmp_path / "data")
    for part in ("train", "test"):
        victim = max((tmp_path / "data" / f"{part}_images").iterdir(), key=lambda path: path.stat().st_size)
        data = victim.read_bytes()
        victim.write_bytes(data[:1500] + data[2200:])
    arguments = ["predict", "-r", run, "--data", tmp_path / "data", "--device", "cpu", "--sheet", 0]
    capfd.readouterr()
    assert sever(*arguments, "-o", tmp_path / "out") == 2
    shown = capfd.readouterr().err
    assert f"{victim.name} is damaged (Corrupt JPEG data: premature end of data segment)" in shown
    assert not [line for line in shown.splitlines() if "Corrupt" in line and not line.startswith("sever: error")]
    assert sever(*arguments, "-o", tmp_path / "out", "--skip-bad") == 0
    assert pd.read_csv(tmp_path / "out" / "skipped.csv")["image_id"].tolist() == [victim.name]
    assert len(pd.read_csv(tmp_path / "out" / "submission.csv")) == 5 * 4
    settings = experiment(tmp_path / "data")
    assert train(settings) == 2
    assert train(settings, "--skip-bad") == 0


def test_an_image_over_the_limit_is_a_fault(
    run: Path, strip_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["predict", "-r", run, "--images", strip_root / "test_images", "--device", "cpu", "--sheet", 0]
    assert sever(*arguments, "-o", tmp_path / "out", "--max-pixels", 64 * 192 - 1) == 2
    assert "192 x 64 pixels, more than the 12,287 that data.max_pixels" in capsys.readouterr().err
    assert sever(*arguments, "-o", tmp_path / "out", "--max-pixels", 64 * 192) == 0
    data = experiment(strip_root, max_pixels=100).read_text()
    (tmp_path / "small.yml").write_text(data)
    assert train(tmp_path / "small.yml") == 2
    assert "16 faults" in capsys.readouterr().err
