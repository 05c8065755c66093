"""Near-duplicates: planted views of one place are found however they lie; strangers of one texture are not."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sever.data.duplicates import TURNS, Alignment, find_duplicates, group_numbers, lay_on
from sever.data.duplicates.alignment import SPECTRUM_TURNS, SmallPicture, align, shared_parts
from sever.data.duplicates.candidates import find_candidates
from sever.data.duplicates.fingerprint import speckle, without_light

SIDES = (120, 160)


def steel(seed: int, height: int = SIDES[0], width: int = SIDES[1]) -> np.ndarray:
    """Rolled texture: streaks along the strip that all pictures share, and grain that is each one's own."""
    streaks = np.random.default_rng(0).normal(0, 12, (height, 1))
    grain = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 40, (height, width)), (0, 0), 1.5)
    return np.clip(110 + streaks + grain, 0, 255).astype(np.uint8)


def write(folder: Path, pictures: dict[str, np.ndarray], quality: int = 90) -> tuple[list[Path], list[tuple[int, int]]]:
    paths = [folder / f"{name}.jpg" for name in pictures]
    for path, picture in zip(paths, pictures.values(), strict=True):
        assert cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return paths, [picture.shape for picture in pictures.values()]


@pytest.mark.parametrize("turn", TURNS)
def test_a_turned_relit_recompressed_view_is_found_with_its_turn(tmp_path: Path, turn: str) -> None:
    # The alignment says how the second one must be turned to lie on the first: laid back, the pixels must agree.
    strangers = {f"s{seed}": steel(seed) for seed in range(2, 10)}
    first = steel(1)
    second = np.clip(TURNS[turn](first) * 0.9, 0, 255).astype(np.uint8)
    paths, sizes = write(tmp_path, {"a": first, "b": np.ascontiguousarray(second), **strangers}, quality=70)
    (found,) = find_duplicates(paths, sizes, 0.95)
    assert (found.first, found.second, found.is_exact) == (0, 1, False)
    mine, other = lay_on(first[..., None], second[..., None], found.alignment)
    assert mine.shape[:2] == SIDES
    assert np.abs(mine * 0.9 - other).mean() < 1


@pytest.mark.parametrize(("down", "right"), [(0, 20), (0, -20), (10, 0), (-7, 13)])
def test_a_shifted_view_is_found_with_its_shift(tmp_path: Path, down: int, right: int) -> None:
    whole = steel(1, 200, 240)
    first, second = whole[40:160, 40:200], whole[40 + down : 160 + down, 40 + right : 200 + right]
    paths, sizes = write(tmp_path, {"a": first, "b": second, **{f"s{seed}": steel(seed) for seed in range(2, 8)}})
    (found,) = find_duplicates(paths, sizes, 0.5)
    assert round(found.alignment.down * SIDES[0]) == pytest.approx(down, abs=1)
    assert round(found.alignment.right * SIDES[1]) == pytest.approx(right, abs=1)
    shared = (1 - abs(down) / SIDES[0]) * (1 - abs(right) / SIDES[1])
    assert found.alignment.overlap == pytest.approx(shared, abs=0.02)
    assert find_duplicates(paths, sizes, shared + 0.03) == []


def test_texture_alone_makes_no_pair(tmp_path: Path) -> None:
    # Their rows have equal streaks, which correlate at any shift along the strip.
    pictures = {str(seed): steel(seed) for seed in range(30)}
    correlation = np.corrcoef(pictures["0"].mean(axis=1), pictures["1"].mean(axis=1))[0, 1]
    assert correlation > 0.9
    paths, sizes = write(tmp_path, pictures)
    assert find_duplicates(paths, sizes, 0.5) == []


@pytest.mark.parametrize("side", [8, 12, 24, 32])
def test_tiny_strangers_make_no_pair_and_equal_ones_do(tmp_path: Path, side: int) -> None:
    rng = np.random.default_rng(side)
    pictures = {f"{at:03}": rng.integers(0, 256, (side, side), dtype=np.uint8) for at in range(150)}
    pictures["again"] = pictures["007"]
    pictures["turned"] = np.ascontiguousarray(pictures["011"][:, ::-1])
    paths, sizes = write(tmp_path, pictures)
    found = {(paths[each.first].stem, paths[each.second].stem) for each in find_duplicates(paths, sizes, 0.95)}
    assert {tuple(sorted(pair)) for pair in found} == {("007", "again"), ("011", "turned")}


def test_equal_pixels_are_called_exact_whatever_the_file(tmp_path: Path) -> None:
    picture = steel(1)
    for name in ("a.png", "b.bmp"):
        assert cv2.imwrite(str(tmp_path / name), picture)
    paths = [tmp_path / "a.png", tmp_path / "b.bmp"]
    (found,) = find_duplicates(paths, [SIDES, SIDES], 0.95)
    assert found.is_exact
    assert found.alignment == Alignment("none", 0.0, 0.0, 1.0, pytest.approx(1.0, abs=1e-3))


def test_blank_images_are_no_duplicates_of_everything(tmp_path: Path) -> None:
    paths, sizes = write(tmp_path, {"black": np.zeros(SIDES, np.uint8), "a": steel(1), "b": steel(2)})
    assert find_duplicates(paths, sizes, 0.5) == []


def test_images_of_other_sizes_are_compared(tmp_path: Path) -> None:
    whole = steel(1, 140, 200)
    pictures = {"a": whole[:120, :160], "b": whole[:130, :150], "c": steel(2, 90, 220)}
    paths, sizes = write(tmp_path, pictures)
    assert [(found.first, found.second) for found in find_duplicates(paths, sizes, 0.9)] == [(0, 1)]


def test_progress_is_told_to_the_end(tmp_path: Path) -> None:
    paths, sizes = write(tmp_path, {"a": steel(1), "b": steel(1), "c": steel(2)})
    told: list[tuple[str, int, int]] = []
    find_duplicates(paths, sizes, 0.9, advance=lambda *step: told.append(step))
    assert list(dict.fromkeys(stage for stage, _, _ in told)) == ["reading", "comparing", "aligning"]
    for (stage, done, total), (following, _, _) in pairwise([*told, ("", 0, 0)]):
        assert stage == following or done == total


def test_the_speckle_of_a_turned_picture_is_the_turned_speckle() -> None:
    detail = without_light(steel(3, 96, 96))
    for turn in SPECTRUM_TURNS:
        turned = np.stack([speckle(detail), speckle(np.ascontiguousarray(TURNS[turn](detail)))])
        ((first, second, found),) = find_candidates(turned)
        assert (first, second, found) == (0, 1, turn)


def test_alignment_by_hand() -> None:
    # The second view begins 8 small pixels further down: laid on the first one, it lies 8 pixels lower.
    whole = without_light(steel(5, 104, 96))
    found = align(SmallPicture(whole[:96]), SmallPicture(whole[8:]))
    assert found is not None
    assert (found.turn, found.down, found.right) == ("none", 8 / 96, 0.0)
    assert found.overlap == pytest.approx(88 / 96)


@given(sides=st.tuples(*[st.integers(1, 30)] * 4), shift=st.tuples(st.integers(-40, 40), st.integers(-40, 40)))
def test_shared_parts_are_those_of_an_own_canvas(sides: tuple[int, int, int, int], shift: tuple[int, int]) -> None:
    # A second way: paint both rectangles on one canvas and count where both are.
    first, second = sides[:2], sides[2:]
    canvas = np.zeros((2, 150, 150), bool)
    canvas[0, 50 : 50 + first[0], 50 : 50 + first[1]] = True
    top, left = 50 + shift[0], 50 + shift[1]
    canvas[1, top : top + second[0], left : left + second[1]] = True
    mine, other = shared_parts(first, second, shift)
    a, b = np.zeros(first)[mine], np.zeros(second)[other]
    assert a.shape == b.shape
    assert a.size == canvas.all(axis=0).sum()


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=15))
def test_groups_are_what_hangs_together(pairs: list[tuple[int, int]]) -> None:
    groups = group_numbers(12, pairs)
    together = np.eye(12, dtype=bool)
    for a, b in pairs:
        together[a, b] = together[b, a] = True
    for middle in range(12):  # Warshall's closure
        together |= together[:, [middle]] & together[[middle]]
    assert (together == (groups[:, None] == groups[None])).all()
