"""`sever data shift`: equal sets, lit otherwise, plain folders and data sets, and weights that other commands take."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from command_line import sever
from evidence_maker import make_evidence

from sever.data.stats import DESCRIPTORS, Description, describe, feature_names, fitting_grid
from sever.data.stats.descriptors import SILENCE

COUNT = 12


def put(folder: Path, seeds: range, light: float = 1.0, right: float = 0.0) -> Path:
    """Grain of COUNT pieces of steel; `light` multiplies all of it, `right` is added to its right quarter."""
    folder.mkdir(parents=True)
    for seed in seeds:
        grain = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 60, (64, 96)), (0, 0), 1.5)
        grain = (110 + grain + np.random.default_rng([seed, 1]).normal(0, 3)) * light
        grain[:, 72:] += right
        assert cv2.imwrite(str(folder / f"{seed}.png"), np.clip(grain, 0, 255).astype(np.uint8))
    return folder


def shift(a: Path, b: Path, out: Path, capsys: pytest.CaptureFixture[str], *more: object) -> dict[str, object]:
    assert sever("data", "shift", a, b, "-o", out, "--json", "--draws", 50, *more) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers == json.loads((out / "shift.json").read_text())
    assert cv2.imread(str(out / "shift.png")) is not None
    return dict(numbers)


def test_a_set_against_itself_is_a_guess(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = put(tmp_path / "a", range(COUNT))
    numbers = shift(a, a, tmp_path / "out", capsys)
    assert numbers["area"] == {"mean": 0.5, "low": 0.5, "high": 0.5}
    assert not numbers["differs"]
    weights = pd.read_csv(tmp_path / "out" / "weights.csv")
    assert (len(weights), set(weights["weight"])) == (COUNT, {1.0})


def test_copies_under_other_names_are_one_group(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = put(tmp_path / "a", range(6)), put(tmp_path / "b", range(6), light=1.02)
    assert shift(a, b, tmp_path / "out", capsys)["groups"] == 6
    assert shift(a, b, tmp_path / "apart", capsys, "--no-copies")["groups"] == 12


def test_other_light_is_found_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = put(tmp_path / "a", range(COUNT)), put(tmp_path / "b", range(100, 100 + COUNT), light=1.3)
    numbers = shift(a, b, tmp_path / "out", capsys)
    assert numbers["differs"]
    first = numbers["statistics"][0]  # type: ignore[index]
    assert first["area"] == 1
    assert {each["name"] for each in numbers["statistics"]} & {"grey", "dark_tail", "bright_tail"}  # type: ignore[attr-defined]
    said = "A and B differ"
    assert sever("data", "shift", a, b, "-o", tmp_path / "out") == 0, "and again into the same folder"
    assert said in capsys.readouterr().out


def test_the_region_that_differs_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = put(tmp_path / "a", range(COUNT)), put(tmp_path / "b", range(100, 100 + COUNT), right=25)
    regions = np.array(shift(a, b, tmp_path / "out", capsys)["regions"])
    assert regions[:, -1].mean() > 0.95
    assert regions[:, :-1].mean() < 0.7


def test_one_darker_edge_is_found_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As bright as before on the whole: only where the light lies has changed."""
    a, b = tmp_path / "a", tmp_path / "b"
    for folder, seeds in ((a, range(40)), (b, range(100, 140))):
        put(folder, seeds)
        for path in folder.iterdir():
            # Rolls differ in light far more than an edge changes it.
            light = np.random.default_rng([int(path.stem), 2]).uniform(0.6, 1.4)
            image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) * light
            if folder is b:
                image[:, :24] *= 0.9
                image[:, 24:] *= 1.033
            cv2.imwrite(str(path), np.clip(image, 0, 255).astype(np.uint8))
    numbers = shift(a, b, tmp_path / "out", capsys)
    assert numbers["differs"]
    assert "grey_of_column_1_of_5" in {each["name"] for each in numbers["statistics"][:2]}  # type: ignore[index]


def test_rows_and_columns_by_hand() -> None:
    description = Description(np.zeros(1), np.array([[[1.0], [1.0]], [[np.e**2], [1.0]]]) - SILENCE)
    # Logarithms 0, 0; 2, 0 have the mean 0.5; rows 0 and 1, columns 1 and 0.
    assert description.features() == pytest.approx([0, -0.5, 0.5, 0.5, -0.5])
    names = feature_names((2, 1))
    assert len(names) == len(describe(np.zeros((8, 8), np.uint8), (2, 1)).features())
    assert names[-3:] == ("grey_of_column_1_of_1", "spread_of_column_1_of_1", "detail_of_column_1_of_1")


def test_a_data_set_and_a_folder_and_what_select_takes(
    strip_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shift(strip_root, strip_root / "test_images", tmp_path / "out", capsys)
    weights = pd.read_csv(tmp_path / "out" / "weights.csv")
    assert len(weights) == 16
    both = [make_evidence(tmp_path / name, strip_root, seed) for seed, name in enumerate("ab")]
    assert sever("select", *both, "--weights", tmp_path / "out" / "weights.csv", "--draws", 20) == 0


def test_faults_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = put(tmp_path / "a", range(3))
    assert sever("data", "shift", a, tmp_path / "nowhere", "-o", tmp_path / "out") == 2
    assert "nowhere" in capsys.readouterr().err
    one = put(tmp_path / "one", range(1))
    assert sever("data", "shift", a, one, "-o", tmp_path / "out") == 2
    assert "two groups" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_descriptors_by_hand() -> None:
    flat = np.full((20, 40), 51, np.uint8)
    values = dict(zip(DESCRIPTORS, describe(flat, (1, 2)).whole, strict=True))
    # Nothing is brighter than its neighbour, so every pixel has the pattern "none of 8".
    assert (values["grey"], values["pattern_0"], values["pattern_9"]) == (pytest.approx(0.2), 1, 0)
    striped = flat.copy()
    striped[::2] = 200  # steps downwards only: lines lie along the rows
    striped_values = dict(zip(DESCRIPTORS, describe(striped, (1, 2)).whole, strict=True))
    assert striped_values["detail_of_1_pixels"] > values["detail_of_1_pixels"]
    assert striped_values["lying_detail_of_1_pixels"] > 1
    turned = dict(zip(DESCRIPTORS, describe(striped.T, (1, 2)).whole, strict=True))
    assert turned["lying_detail_of_1_pixels"] == pytest.approx(-striped_values["lying_detail_of_1_pixels"], abs=0.1)
    halves = np.hstack([np.zeros((8, 10)), np.full((8, 10), 255)]).astype(np.uint8)
    assert describe(halves, (1, 2)).cells[0, :, 0].tolist() == [0, 1]
    assert [fitting_grid(size) for size in ((256, 1600), (200, 200), (1600, 256), (1, 900))] == [
        (2, 8),
        (4, 4),
        (10, 2),
        (1, 16),
    ]


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (2, 2), (3, 200)])
def test_tiny_images_have_numbers_too(shape: tuple[int, int]) -> None:
    described = describe(np.full(shape, 9, np.uint8), (2, 3))
    assert np.isfinite(described.whole).all()
    assert np.isfinite(described.cells).all()
