"""docs/bundle.md can be followed: a second implementation in plain C++ draws the same masks from the same maps."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sever.config import RuleSettings, parse_rules
from sever.data.images import to_grey
from sever.decide.ensemble import BLENDS, Blend
from sever.decide.flips import FLIPS, flip_average
from sever.decide.gate import GATES
from sever.decide.overlaps import OVERLAPS
from sever.decide.postprocess import draw_masks, quantise
from sever.decide.ranks import count_levels, ranks_of
from sever.decide.rules import ClassRules, resolve_rules
from sever.decide.windows import axis_tiles

SOURCE = Path(__file__).parents[1] / "second_rules" / "rules.cpp"
CLASSES, HEIGHT, WIDTH = 3, 41, 67


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler here: the second implementation of the rules was not run")
    program = tmp_path_factory.mktemp("second") / "rules"
    # Without it the compiler may multiply and add in one step, and round once where the text says twice.
    subprocess.run([compiler, "-O2", "-std=c++17", "-ffp-contract=off", "-o", program, SOURCE], check=True)
    return program


def blobs(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, C, H, W) float32 in 0..1: smooth spots with some speckle, so that components of all sizes come about."""
    noise = rng.normal(size=(count * CLASSES, HEIGHT, WIDTH)).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(each, (0, 0), float(rng.uniform(1, 4))) for each in noise])
    smooth /= smooth.std(axis=(1, 2), keepdims=True)
    probs = 1 / (1 + np.exp(-(2 * smooth + 0.4 * noise)))
    return probs.reshape(count, CLASSES, HEIGHT, WIDTH).astype(np.float32)


def line_of(rules: ClassRules) -> list[object]:
    return [
        rules.pixel_threshold,
        -1 if rules.label_threshold is None else rules.label_threshold,
        -1 if rules.seed_threshold is None else rules.seed_threshold,
        rules.erode_pixels,
        rules.dilate_pixels,
        rules.min_component_pixels,
        rules.min_pixels,
        rules.gate_threshold,
    ]


def second(
    program: Path,
    folder: Path,
    maps: np.ndarray,
    settings: RuleSettings,
    blend: Blend | None = None,
    flips: tuple[str, ...] = (),
    labels: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Masks and levels (C, H, W) by the program; `maps` (members, 1 + flips, C, H, W)."""
    blend, rules = blend or Blend(), resolve_rules(settings, CLASSES)
    words: list[Any] = [len(maps), CLASSES, HEIGHT, WIDTH, len(flips), *flips, blend.kind, blend.power]
    words += [len(blend.weights), *blend.weights]
    ranks = np.asarray(blend.ranks, np.float64).reshape(-1)
    words += [len(ranks), *ranks.tolist()]
    words += [0] if labels is None else [len(labels), *labels.reshape(-1).tolist()]
    words += [rules.overlap, int(rules.fill_holes), rules.gate_kind, rules.gate_factor]
    for each in rules.classes:
        words += line_of(each)
    (folder / "job.txt").write_text(" ".join(map(str, words)))
    maps.astype(np.float32).tofile(folder / "maps")
    files = [str(folder / name) for name in ("job.txt", "maps", "masks", "levels")]
    subprocess.run([str(program), *files], check=True)
    masks, levels = (
        np.fromfile(folder / name, np.uint8).reshape(CLASSES, HEIGHT, WIDTH) for name in ("masks", "levels")
    )
    return masks, levels


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "thresholds and areas": {"pixel_threshold": [0.3, 0.5, 0.7], "min_pixels": [5, 300, 40], "min_component_pixels": 4},
    "label": {"pixel_threshold": 0.5, "label_threshold": [0.9, 0.97, 0.999]},
    "seed": {"pixel_threshold": 0.45, "seed_threshold": [0.5, 0.8, 0.95]},
    "holes": {"fill_holes": True, "min_pixels": 30},
    "erode": {"erode_pixels": [1, 2, 0], "min_component_pixels": [0, 3, 9]},
    "dilate": {"dilate_pixels": [0, 1, 3], "pixel_threshold": 0.8},
    "all at once": {
        "pixel_threshold": [0.4, 0.5, 0.6],
        "label_threshold": 0.8,
        "seed_threshold": [0.7, 0.6, 0.9],
        "fill_holes": True,
        "erode_pixels": 1,
        "dilate_pixels": [2, 1, 1],
        "min_component_pixels": [12, 6, 20],
        "min_pixels": [40, 90, 30],
    },
}


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("name", SETTINGS)
def test_equal_masks_by_every_rule(name: str, overlap: str, program: Path, tmp_path: Path) -> None:
    settings = parse_rules(SETTINGS[name] | {"overlap": overlap}, "test")
    total = 0
    for seed in range(4):
        maps = blobs(np.random.default_rng(seed), 1)[None]
        masks, levels = second(program, tmp_path, maps, settings)
        ours = quantise(maps[0, 0])
        np.testing.assert_array_equal(levels, ours)
        np.testing.assert_array_equal(masks, draw_masks(ours, resolve_rules(settings, CLASSES)))
        total += int(masks.sum())
    assert total, "there is something to be equal"


@pytest.mark.parametrize("kind", GATES)
def test_equal_masks_by_every_gate(kind: str, program: Path, tmp_path: Path) -> None:
    gate = {"kind": kind, "threshold": [0.2, 0.5, 0.8], "factor": 7.5}
    settings = parse_rules({"gate": gate, "min_pixels": [40, 60, 80], "pixel_threshold": [0.2, 0.3, 0.4]}, "test")
    seen = set()
    for seed in range(6):
        rng = np.random.default_rng(seed)
        maps, labels = blobs(rng, 1)[None], rng.random((3, CLASSES)).astype(np.float32)
        masks, levels = second(program, tmp_path, maps, settings, labels=labels)
        probs_c = np.asarray(np.mean(labels, axis=0, dtype=np.float32))
        np.testing.assert_array_equal(masks, draw_masks(levels, resolve_rules(settings, CLASSES), probs_c))
        seen |= set(masks.any(axis=(1, 2)).tolist())
    assert True in seen


@pytest.mark.parametrize("weights", [(), (1.0, 2.5, 0.0, 0.7)])
@pytest.mark.parametrize("kind", BLENDS)
def test_equal_masks_by_every_blend(kind: str, weights: tuple[float, ...], program: Path, tmp_path: Path) -> None:
    settings = parse_rules({"pixel_threshold": [0.3, 0.5, 0.6]}, "test")
    for seed, power in ((0, 3.0), (1, -1.5), (2, 0.5)):
        members = blobs(np.random.default_rng(seed), 4)
        ranks = np.stack([np.stack(list(map(ranks_of, count_levels(quantise(each))))) for each in members])
        tables = tuple(tuple(tuple(row) for row in table) for table in ranks.tolist()) if kind == "rank" else ()
        blend = Blend(kind, () if kind == "maximum" else weights, power, tables)
        masks, levels = second(program, tmp_path, members[:, None], settings, blend)
        ours = quantise(blend(list(members)))
        # Roots, powers and logarithms may end in another last digit; a level differs by that where it lies on a border.
        different = levels.astype(int) != ours
        assert different.mean() <= (1e-3 if kind in ("rms", "power", "geometric", "rank") else 0)
        assert np.abs(levels.astype(int) - ours).max() <= 1
        np.testing.assert_array_equal(masks, draw_masks(ours, resolve_rules(settings, CLASSES)))


@pytest.mark.parametrize("flips", [("width",), ("height",), ("both",), tuple(FLIPS)])
def test_equal_masks_by_every_flip(flips: tuple[str, ...], program: Path, tmp_path: Path) -> None:
    settings = parse_rules({"min_pixels": 20}, "test")
    answers = blobs(np.random.default_rng(0), 1 + len(flips))
    upcoming = iter(answers)
    maps, _ = flip_average(
        lambda pixels: (next(upcoming)[None], None), np.zeros((1, HEIGHT, WIDTH, 1), np.uint8), flips
    )
    assert maps is not None
    masks, levels = second(program, tmp_path, answers[None], settings, flips=flips)
    np.testing.assert_array_equal(levels, quantise(maps[0]))
    np.testing.assert_array_equal(masks, draw_masks(levels, resolve_rules(settings, CLASSES)))


@pytest.mark.parametrize("size", [1, 31, 64, 65, 100, 333, 1600, 4097])
def test_equal_tiles(size: int, program: Path) -> None:
    for tile, overlap, multiple in ((64, 16, 32), (96, 31, 8), (1024, 128, 32), (100, 0, 14), (40, 19, 32)):
        words = [str(program), "windows", *map(str, (size, tile, overlap, multiple))]
        lines = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
        ours = axis_tiles(size, tile, overlap, multiple)
        assert [int(line.split()[0]) for line in lines] == [start for start, _ in ours]
        for line, (_, weights) in zip(lines, ours, strict=True):
            np.testing.assert_array_equal(np.array(line.split()[1:], np.float32), weights)


def test_grey_is_as_the_text_says() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    red, green, blue = (colours[..., channel].astype(np.int64) for channel in range(3))
    np.testing.assert_array_equal(to_grey(colours)[..., 0], (9798 * red + 19235 * green + 3735 * blue + 16384) >> 15)


def test_the_program_knows_no_more_rules_than_ours() -> None:
    """A new rule must be written there, too, and into docs/bundle.md."""
    text = SOURCE.read_text()
    documented = (SOURCE.parents[2] / "docs" / "bundle.md").read_text()
    names = [*BLENDS, *GATES, *OVERLAPS, *FLIPS]
    for name in (*names, *RuleSettings.model_fields):
        assert f"`{name}`" in documented, name
    left = {"highest_probability", "both", "allow"}  # what remains where no other name is given
    assert all(f'"{name}"' in text for name in set(names) - left | {"allow"})
