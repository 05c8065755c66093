"""Drawing masks: hand-drawn maps for every rule, and a second implementation for all of them together."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from slow_rules import slow_masks

from sever.config import RuleSettings
from sever.decide.overlaps import OVERLAPS
from sever.decide.postprocess import dequantise, draw_masks, quantise
from sever.decide.rules import resolve_rules
from sever.errors import InputError

# What the letters of a hand-drawn map mean, in probability. A mask is drawn with # and dots.
PROBS = {".": 0.0, "-": 0.3, "o": 0.6, "O": 0.8, "@": 0.95}


def draw(levels_chw: np.ndarray, values: dict[str, Any], gate: np.ndarray | None = None) -> np.ndarray:
    """Masks by the rules, the same from levels and from probabilities, and with the input left alone."""
    rules = resolve_rules(RuleSettings.model_validate(values), len(levels_chw))
    probs_chw = dequantise(levels_chw)
    before = levels_chw.copy(), probs_chw.copy()
    masks_chw, again_chw = draw_masks(levels_chw, rules, gate), draw_masks(probs_chw, rules, gate)
    np.testing.assert_array_equal(masks_chw, again_chw)
    np.testing.assert_array_equal(levels_chw, before[0])
    np.testing.assert_array_equal(probs_chw, before[1])
    assert masks_chw.dtype == np.uint8
    return masks_chw


def drawn(pictures: list[str], values: dict[str, Any], gate: list[float] | None = None) -> list[str]:
    """One picture a class, rows parted by blanks; so are the masks that come back."""
    probs_chw = np.array([[[PROBS[letter] for letter in row] for row in text.split()] for text in pictures], np.float32)
    masks_chw = draw(quantise(probs_chw), values, None if gate is None else np.array(gate, np.float32))
    return [" ".join("".join(".#"[pixel] for pixel in row) for row in mask_hw) for mask_hw in masks_chw]


DOMINATE = {"overlap": "component_domination"}
LARGER = {"overlap": "larger_component"}
MULTIPLY = {"gate": {"kind": "multiply"}}
SOFT_3 = {"gate": {"kind": "soft", "factor": 3}}
VETO = {"gate": {"kind": "veto", "threshold": 0.5}}

BY_HAND: list[tuple[str, list[str], dict[str, Any], list[float] | None, list[str]]] = [
    # what the row shows, maps, rules, gate, masks
    ("above one half", [".-oO@"], {}, None, ["..###"]),
    (
        "a threshold a class",
        [".-oO@"] * 2,
        {"pixel_threshold": (0.2, 0.7), "overlap": "allow"},
        None,
        [".####", "...##"],
    ),
    ("a gate is ignored where no rule names it", ["@@"], {}, [0.0], ["##"]),
    # label threshold
    ("the best pixel is above it: all pixels stay", ["-oO.."], {"label_threshold": 0.7}, None, [".##.."]),
    ("the best pixel is not: none stays", ["-ooo."], {"label_threshold": 0.7}, None, ["....."]),
    ("an absent class takes no pixel", ["O.", "o."], {"label_threshold": (0.9, 0.5)}, None, ["..", "#."]),
    ("it asks for the image, not for the component", ["@.oo"], {"label_threshold": 0.7}, None, ["#.##"]),
    # hysteresis
    ("the component without a seed goes", ["o@.oo"], {"seed_threshold": 0.7}, None, ["##..."]),
    ("corners connect", ["@.. .o. ..o"], {"seed_threshold": 0.7}, None, ["#.. .#. ..#"]),
    ("what is below the pixel threshold doesn't", ["@-o"], {"seed_threshold": 0.7}, None, ["#.."]),
    ("a seed on the threshold of pixels changes nothing", ["o.o"], {"seed_threshold": 0.5}, None, ["#.#"]),
    ("what lost its seed claims nothing", ["O.@", "o.."], {"seed_threshold": (0.9, 0.5)}, None, ["..#", "#.."]),
    # holes
    ("a hole is filled", ["OOO O.O OOO"], {"fill_holes": True}, None, ["### ### ###"]),
    ("a bay at the image's border is none", ["OOO O.. OOO"], {"fill_holes": True}, None, ["### #.. ###"]),
    ("corners close a hole", [".O. O.O .O."], {"fill_holes": True}, None, [".#. ### .#."]),
    (
        "a filled hole takes its island in",
        ["OOOOO O...O O.O.O O...O OOOOO"],
        {"fill_holes": True},
        None,
        ["##### " * 5],
    ),
    # shrink, grow
    (
        "one pixel is left of a box of 3",
        ["..... .OOO. .OOO. .OOO. ....."],
        {"erode_pixels": 1},
        None,
        ["..... ..... ..#.. ..... ....."],
    ),
    ("the image's border doesn't shrink masks", ["OOO.. OOO.."], {"erode_pixels": 1}, None, ["##... ##..."]),
    (
        "a disc of radius 2 about one pixel",
        ["..... ..... ..O.. ..... ....."],
        {"dilate_pixels": 2},
        None,
        ["..#.. .###. ##### .###. ..#.."],
    ),
    (
        "shrunk first: the thin one is lost",
        ["O.OOO ..OOO ..OOO"],
        {"erode_pixels": 1, "dilate_pixels": 1},
        None,
        ["..### ..### ..###"],
    ),
    ("a radius a class", ["..O..", "..O.."], {"dilate_pixels": (0, 1), "overlap": "allow"}, None, ["..#..", ".###."]),
    # overlaps
    ("the most probable keeps it", ["ooO", "OoO"], {}, None, [".##", "#.."]),
    ("among those that claim it", ["oo", "oo", "O@"], {"pixel_threshold": (0.5, 0.5, 0.85)}, None, ["#.", "..", ".#"]),
    (
        "a grown mask claims without probability",
        ["O..O", "..-."],
        {"pixel_threshold": (0.5, 0.2), "dilate_pixels": (1, 0)},
        None,
        ["##.#", "..#."],
    ),
    ("the larger keeps the pixels, the smaller the rest", ["OOO....", "..@@..@"], LARGER, None, ["###....", "...#..#"]),
    (
        "a component without a seed is no rival",
        ["oo....", "oo....", "oooo.@"],
        LARGER | {"seed_threshold": (0.5, 0.5, 0.9)},
        None,
        ["##....", "......", ".....#"],
    ),
    ("of equals the first, a pixel", ["OO.", ".OO"], LARGER, None, ["##.", "..#"]),
    ("the larger removes the smaller whole", ["OOO....", "..@@..@"], DOMINATE, None, ["###....", "......#"]),
    ("of equals the first, whole", ["OO.", ".OO"], DOMINATE, None, ["##.", "..."]),
    (
        "what is removed removes nothing",
        ["OOOO......", "...OOO....", ".....OO..."],
        DOMINATE,
        None,
        ["####......", "..........", ".....##..."],
    ),
    ("side by side is no overlap", ["OOO..", "...OO"], DOMINATE, None, ["###..", "...##"]),
    ("all keep it", ["OO", "OO"], {"overlap": "allow"}, None, ["##", "##"]),
    # smallest areas
    ("exactly the smallest component stays", ["OO.O.OOO"], {"min_component_pixels": 2}, None, ["##...###"]),
    ("components count after overlaps", ["OOO", ".@."], {"min_component_pixels": (2, 0)}, None, ["...", ".#."]),
    ("exactly the smallest area stays", ["OO.O"], {"min_pixels": 3}, None, ["##.#"]),
    ("one fewer does not", ["OO.O"], {"min_pixels": 4}, None, ["...."]),
    ("the area is that of what is left", ["OO.O"], {"min_component_pixels": 2, "min_pixels": 3}, None, ["...."]),
    ("what a small class won stays clean", ["oOo", ".o."], {"min_pixels": (4, 0)}, None, ["...", "..."]),
    # gate: veto
    ("below the threshold: empty", ["OO", "O."], VETO, [0.49, 0.5], ["..", "#."]),
    # gate: multiply; 0.6 * 0.8 = 0.48
    ("pixels fall below the threshold", ["oO@"], MULTIPLY, [0.8], [".##"]),
    ("the classes' order changes", ["OO", "oo"], MULTIPLY, [0.7, 1.0], ["..", "##"]),
    ("label and seed see it, too", ["@.O"], MULTIPLY | {"seed_threshold": 0.7}, [0.8], ["#.."]),
    ("multiplied by 0: nothing, even above 0", ["@"], MULTIPLY | {"pixel_threshold": 0}, [0.0], ["."]),
    # gate: soft; smallest areas 2 at gate 1, 6 at gate 0, 4 at 0.5
    (
        "sure: the area itself",
        ["OO..", "OO.."],
        SOFT_3 | {"min_pixels": 2, "overlap": "allow"},
        [1, 0.9],
        ["##..", "...."],
    ),
    (
        "half sure: between",
        ["OOOO", "OOO."],
        SOFT_3 | {"min_pixels": 2, "overlap": "allow"},
        [0.5, 0.5],
        ["####", "...."],
    ),
]


@pytest.mark.parametrize(
    ("maps", "values", "gate", "expected"), [row[1:] for row in BY_HAND], ids=[r[0] for r in BY_HAND]
)
def test_by_hand(maps: list[str], values: dict[str, Any], gate: list[float] | None, expected: list[str]) -> None:
    assert drawn(maps, values, gate) == [text.strip() for text in expected]


def test_every_overlap_setting_has_its_function() -> None:
    assert set(OVERLAPS) == set(RuleSettings.model_json_schema()["properties"]["overlap"]["enum"])


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_extreme_thresholds(threshold: float) -> None:
    expected = [[[0, 1, 1, 1]]] if threshold == 0 else [[[0, 0, 0, 0]]]
    levels_chw = np.array([[[0, 1, 254, 255]]], np.uint8)
    assert draw(levels_chw, {"pixel_threshold": threshold}).tolist() == expected


def test_a_level_is_on_its_threshold_not_above() -> None:
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    for level in (0, 1, 51, 127, 128, 254):
        assert draw(every, {"pixel_threshold": level / 255}).sum() == 255 - level


@pytest.mark.parametrize("shift", [1, 7, 15])
def test_the_place_in_the_image_plays_no_part(shift: int) -> None:
    """What is worked on is a box cut from the image: moved within a wide image, masks only move along."""
    rng = np.random.default_rng(0)
    levels_chw = np.zeros((2, 40, 60), np.uint8)
    levels_chw[:, 9 : 9 + 10, 9 : 9 + 14] = rng.integers(0, 256, (2, 10, 14))
    values = {
        "seed_threshold": 0.9,
        "fill_holes": True,
        "erode_pixels": 1,
        "dilate_pixels": (3, 2),
        "min_component_pixels": 5,
        "overlap": "highest_probability",
    }
    moved = draw(np.roll(levels_chw, (shift, shift), axis=(1, 2)), values)
    here = draw(levels_chw, values)
    assert here.any(axis=(1, 2)).all()
    np.testing.assert_array_equal(moved, np.roll(here, (shift, shift), axis=(1, 2)))


# --- against the second implementation -----------------------------------------------------------------------------

sizes = st.tuples(st.integers(1, 4), st.integers(1, 13), st.integers(1, 17))


@st.composite
def level_maps(draw_one: st.DrawFn) -> np.ndarray:
    """Levels (C, H, W) uint8: every pixel by itself, or blobs; in a few steps, so that ties are common."""
    shape = draw_one(sizes)
    if draw_one(st.booleans()):
        return draw_one(hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 51, 102, 127, 128, 153, 204, 255])))
    rng = np.random.default_rng(draw_one(st.integers(0, 2**32 - 1)))
    blobs_chw = np.stack([cv2.GaussianBlur(rng.normal(size=shape[1:]), (0, 0), 1.3) for _ in range(shape[0])])
    steps = draw_one(st.sampled_from([5, 17, 255]))
    return (np.rint(np.clip(0.5 + blobs_chw, 0, 1) * steps) * (255 // steps)).astype(np.uint8)


def one_or_each(values: st.SearchStrategy[Any], classes: int) -> st.SearchStrategy[Any]:
    return values | st.tuples(*[values] * classes)


def not_below(threshold: Any, added: float | None) -> Any:
    """`added` above the pixel threshold, the form in which a threshold has an effect."""
    if added is None:
        return None
    if isinstance(threshold, tuple):
        return tuple(min(1.0, each + added) for each in threshold)
    return min(1.0, threshold + added)


@st.composite
def rule_sets(draw_one: st.DrawFn, classes: int) -> RuleSettings:
    levels = st.sampled_from([0.0, 0.2, 0.4, 0.5, 0.6, 128 / 255]) | st.floats(0, 1)
    pixels = st.sampled_from([0, 0, 1, 2, 3, 5, 9])
    threshold = draw_one(one_or_each(levels, classes))
    added = st.none() | st.sampled_from([0.0, 0.1, 0.2, 0.3])
    return RuleSettings(
        gate={
            "kind": draw_one(st.sampled_from(["none", "veto", "soft", "multiply"])),
            "threshold": draw_one(one_or_each(levels, classes)),
            "factor": draw_one(st.sampled_from([1, 2.5, 5, 20])),
        },
        pixel_threshold=threshold,
        label_threshold=not_below(threshold, draw_one(added)),
        seed_threshold=not_below(threshold, draw_one(added)),
        fill_holes=draw_one(st.booleans()),
        erode_pixels=draw_one(one_or_each(st.sampled_from([0, 0, 1, 2]), classes)),
        dilate_pixels=draw_one(one_or_each(st.sampled_from([0, 0, 1, 2, 3]), classes)),
        overlap=draw_one(st.sampled_from(sorted(OVERLAPS))),
        min_component_pixels=draw_one(one_or_each(pixels, classes)),
        min_pixels=draw_one(st.none() | one_or_each(pixels, classes)),
    )


@settings(deadline=None, max_examples=400)
@given(st.data())
def test_against_second_implementation(data: st.DataObject) -> None:
    levels_chw = data.draw(level_maps())
    rules = data.draw(rule_sets(len(levels_chw)))
    gate = data.draw(hnp.arrays(np.float32, len(levels_chw), elements=st.floats(0, 1, width=32)))
    given_gate = gate if rules.gate.kind != "none" or data.draw(st.booleans()) else None
    expected = slow_masks(dequantise(levels_chw), rules, gate)
    np.testing.assert_array_equal(draw(levels_chw, rules.model_dump(), given_gate), expected)


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_probabilities_between_the_levels_too(data: st.DataObject) -> None:
    shape = data.draw(sizes)
    probs_chw = data.draw(hnp.arrays(np.float32, shape, elements=st.floats(0, 1, width=32)))
    rules = data.draw(rule_sets(shape[0]))
    gate = data.draw(hnp.arrays(np.float32, shape[0], elements=st.floats(0, 1, width=32)))
    masks_chw = draw_masks(probs_chw, resolve_rules(rules, shape[0]), gate)
    np.testing.assert_array_equal(masks_chw, slow_masks(probs_chw, rules, gate))


@pytest.mark.parametrize("overlap", sorted(OVERLAPS))
def test_second_implementation_on_an_image_with_many_components(overlap: str) -> None:
    rng = np.random.default_rng(3)
    fields = [cv2.GaussianBlur(rng.normal(size=(90, 140)), (0, 0), 2) for _ in range(3)]
    levels_chw = quantise(np.stack([np.clip(0.35 + 2 * field, 0, 1) for field in fields]).astype(np.float32))
    values = {"seed_threshold": 0.6, "min_component_pixels": 12, "min_pixels": (60, 90, 0), "overlap": overlap}
    rules = RuleSettings.model_validate(values)
    expected = slow_masks(dequantise(levels_chw), rules)
    assert sum(cv2.connectedComponents(mask_hw)[0] - 1 for mask_hw in expected) > 20
    np.testing.assert_array_equal(draw(levels_chw, values), expected)


# --- what must always hold -----------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_all_overlap_rules_but_allow_leave_a_pixel_to_one_class(data: st.DataObject) -> None:
    levels_chw = data.draw(level_maps())
    values = {"overlap": data.draw(st.sampled_from(sorted(set(OVERLAPS) - {"allow"}))), "pixel_threshold": 0.3}
    masks_chw = draw(levels_chw, values)
    assert masks_chw.sum(axis=0).max() <= 1
    if values["overlap"] != "component_domination":  # which cleans pixels that only the removed class claimed
        np.testing.assert_array_equal(masks_chw.any(axis=0), (dequantise(levels_chw) > np.float32(0.3)).any(axis=0))


@pytest.mark.parametrize("kind", ["veto", "soft", "multiply"])
def test_rules_with_a_gate_refuse_to_go_without(kind: str) -> None:
    rules = resolve_rules(RuleSettings.model_validate({"gate": {"kind": kind}}), 2)
    with pytest.raises(InputError, match=rf"gate.kind {kind}.*no classifier.*gate.kind to none"):
        draw_masks(np.zeros((2, 3, 3), np.uint8), rules)


def test_levels_come_back_exactly() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    np.testing.assert_array_equal(quantise(dequantise(levels)), levels)


@settings(deadline=None)
@given(hnp.arrays(np.float32, (1, 3, 3), elements=st.floats(0, 1, width=32)))
def test_quantising_is_off_by_half_a_level_at_most(probs_chw: np.ndarray) -> None:
    error = np.abs(dequantise(quantise(probs_chw)).astype(np.float64) - probs_chw)
    assert error.max() <= 1 / 510 + 1e-7


@settings(deadline=None)
@given(hnp.arrays(np.float32, (1, 3, 3), elements=st.floats(0, 1, width=32)))
def test_quantising_never_moves_a_pixel_across_one_half(probs_chw: np.ndarray) -> None:
    np.testing.assert_array_equal(dequantise(quantise(probs_chw)) > 0.5, probs_chw > 0.5)
    just_above = np.nextafter(np.float32(0.5), np.float32(1))
    assert dequantise(quantise(np.full((1, 1, 1), just_above))).item() > 0.5
