"""Scores against values worked out by hand, and against a second implementation that loops over pixels and sets."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sever.decide.metrics import Confusion, ScoreSheet, dice_pairs, pair_counts


def mask(*rows: str) -> np.ndarray:
    """A one-class mask (1, H, W) from rows of . and #."""
    return np.array([[[letter == "#" for letter in row] for row in rows]], dtype=np.uint8)


DICE_BY_HAND = [
    # predicted, true, Dice
    (mask("...", "..."), mask("...", "..."), 1.0),  # both empty counts as right
    (mask("#..", "..."), mask("...", "..."), 0.0),  # one false pixel on a clean image costs everything
    (mask("...", "..."), mask("#..", "..."), 0.0),  # missed
    (mask("##.", "##."), mask("##.", "##."), 1.0),  # exact
    (mask("###", "###"), mask("###", "###"), 1.0),  # exact and full
    (mask("#..", "..."), mask("..#", "..."), 0.0),  # beside it
    (mask("##.", "..."), mask(".##", "..."), 0.5),  # 2*1 / (2+2)
    (mask("###", "###"), mask("#..", "..."), 2 / 7),  # 2*1 / (6+1)
    (mask("#..", "#.."), mask("##.", "##."), 2 / 3),  # 2*2 / (2+4)
]


@pytest.mark.parametrize(("pred_chw", "true_chw", "dice"), DICE_BY_HAND)
def test_dice_by_hand(pred_chw: np.ndarray, true_chw: np.ndarray, dice: float) -> None:
    assert dice_pairs(pair_counts(pred_chw, true_chw)) == pytest.approx([dice], abs=1e-15)


def test_any_value_but_zero_is_mask() -> None:
    counts = pair_counts(mask("##.") * 255, mask(".##") * 3)
    assert counts.intersection.tolist() == [1, 0]
    assert counts.predicted.tolist() == [2, 1]
    assert counts.true.tolist() == [2, 1]


def sheet_by_hand() -> ScoreSheet:
    """Two classes, three images of 1x4 pixels.

    image  class  predicted  true    Dice
    a      0      ##..       .##.    0.5
    a      1      ....       ....    1
    b      0      ....       ....    1
    b      1      ####       #...    0.4
    c      0      #...       ....    0
    c      1      ....       ...#    0
    """
    sheet = ScoreSheet(2)
    for image_id, predicted, true in [
        ("a", ("##..", "...."), (".##.", "....")),
        ("b", ("....", "####"), ("....", "#...")),
        ("c", ("#...", "...."), ("....", "...#")),
    ]:
        pair = [np.concatenate([mask(row) for row in rows]) for rows in (predicted, true)]
        sheet.add(image_id, pair_counts(*pair))
    return sheet


def test_sheet_by_hand() -> None:
    scores = sheet_by_hand().as_dict()
    assert scores["images"] == 3
    assert scores["dice"] == pytest.approx((0.5 + 1 + 1 + 0.4 + 0 + 0) / 6)
    assert scores["dice_all_empty"] == pytest.approx(3 / 6)
    assert scores["dice_per_class"] == pytest.approx([1.5 / 3, 1.4 / 3])
    assert scores["dice_positive"] == pytest.approx((0.5 + 0.4 + 0) / 3)  # pairs pooled: a0, b1, c1
    assert scores["dice_positive_per_class"] == pytest.approx([0.5, 0.2])
    assert scores["positive_images_per_class"] == [1, 2]
    # Class 0: intersection 1; union 3 (a) + 1 (c). Class 1: 1; 4 (b) + 1 (c).
    assert scores["iou_per_class"] == pytest.approx([1 / 4, 1 / 5])
    # Background, a: predicted ..##, true #..#: 1 of 3; b: predicted none, true .###: 0 of 3; c: 2 of 4.
    assert scores["iou_background"] == pytest.approx(3 / 10)
    assert scores["mean_iou"] == pytest.approx((1 / 4 + 1 / 5) / 2)
    assert scores["mean_iou_with_background"] == pytest.approx((1 / 4 + 1 / 5 + 3 / 10) / 3)
    assert scores["has_defect_per_class"] == [
        {"tp": 1, "fp": 1, "fn": 0, "tn": 1},
        {"tp": 1, "fp": 0, "fn": 1, "tn": 1},
    ]
    # c: a defect is called and there is one, though of another class.
    assert scores["has_defect"] == {"tp": 3, "fp": 0, "fn": 0, "tn": 0}


def test_image_scores_by_hand() -> None:
    rows = [(row.image_id, row.dice, row.has_defect) for row in sheet_by_hand().image_scores()]
    assert rows == [("a", 0.75, True), ("b", pytest.approx(0.7), True), ("c", 0.0, True)]


def test_all_empty_prediction_scores_its_baseline() -> None:
    sheet = ScoreSheet(2)
    for row in ("#...", "....", "..##"):
        true_chw = np.concatenate([mask(row), mask("....")])
        sheet.add(row, pair_counts(np.zeros_like(true_chw), true_chw))
    assert sheet.mean_dice() == sheet.empty_baseline() == pytest.approx(4 / 6)


def test_scores_without_anything_to_average_are_none() -> None:
    sheet = ScoreSheet(2)
    empty = sheet.as_dict()
    assert empty["dice"] is None
    assert empty["mean_iou_with_background"] is None
    clean = np.zeros((2, 1, 4), np.uint8)
    sheet.add("clean", pair_counts(clean, clean))
    scores = sheet.as_dict()
    assert scores["dice"] == 1.0
    assert scores["dice_positive"] is None
    assert scores["dice_positive_per_class"] == [None, None]
    assert scores["mean_iou"] is None
    assert scores["mean_iou_with_background"] == 1.0  # only the background occurs
    json.dumps(scores, allow_nan=False)


def test_class_never_seen_does_not_count_in_mean_iou() -> None:
    sheet = ScoreSheet(2)
    masks = np.concatenate([mask("##.."), mask("....")])
    sheet.add("one", pair_counts(masks, masks))
    assert math.isnan(sheet.iou()[1])
    assert sheet.mean_iou() == 1.0


def test_counts_of_another_number_of_classes_are_refused() -> None:
    clean = np.zeros((3, 1, 4), np.uint8)
    with pytest.raises(AssertionError, match="3 classes, not 2"):
        ScoreSheet(2).add("x", pair_counts(clean, clean))
    with pytest.raises(AssertionError, match="differ in shape"):
        pair_counts(clean, clean[:, :, :3])


# Second implementation: sets of pixels, loops, no shared code.


def pixels(mask_hw: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(place) for place in np.argwhere(mask_hw)}


def slow_dice(pred_hw: np.ndarray, true_hw: np.ndarray) -> float:
    a, b = pixels(pred_hw), pixels(true_hw)
    return 2 * len(a & b) / (len(a) + len(b)) if a or b else 1.0


def slow_iou(pairs: list[tuple[set[object], set[object]]]) -> float:
    union = sum(len(a | b) for a, b in pairs)
    return sum(len(a & b) for a, b in pairs) / union if union else math.nan


some_masks = hnp.arrays(
    np.uint8, st.tuples(st.integers(1, 4), st.just(2), st.just(3), st.just(3)), elements=st.integers(0, 1)
)


@settings(deadline=None)
@given(some_masks, st.data())
def test_against_second_implementation(true_nchw: np.ndarray, data: st.DataObject) -> None:
    keep = data.draw(hnp.arrays(np.uint8, true_nchw.shape, elements=st.integers(0, 1)))
    present = data.draw(hnp.arrays(np.uint8, (*true_nchw.shape[:2], 1, 1), elements=st.integers(0, 1)))
    true_nchw, pred_nchw = true_nchw * present, keep
    sheet = ScoreSheet(true_nchw.shape[1])
    for index, (pred_chw, true_chw) in enumerate(zip(pred_nchw, true_nchw, strict=True)):
        sheet.add(str(index), pair_counts(pred_chw, true_chw))

    slow = np.array(
        [[slow_dice(p, t) for p, t in zip(pc, tc, strict=True)] for pc, tc in zip(pred_nchw, true_nchw, strict=True)]
    )
    assert sheet.dice() == pytest.approx(slow)
    assert sheet.mean_dice() == pytest.approx(slow.mean())
    positive = [slow[n, c] for n in range(len(slow)) for c in range(slow.shape[1]) if true_nchw[n, c].sum() > 0]
    assert sheet.dice_positive() == pytest.approx(np.mean(positive) if positive else math.nan, nan_ok=True)

    masks = [(pred_nchw[:, c], true_nchw[:, c]) for c in range(true_nchw.shape[1])]
    masks.append((1 - pred_nchw.max(axis=1), 1 - true_nchw.max(axis=1)))
    ious = [slow_iou([(pixels(p), pixels(t)) for p, t in zip(ps, ts, strict=True)]) for ps, ts in masks]
    assert sheet.iou() == pytest.approx(ious, nan_ok=True)

    called = [(p.any(), t.any()) for p, t in zip(pred_nchw, true_nchw, strict=True)]
    assert sheet.confusion() == Confusion(*(called.count(c) for c in [(1, 1), (1, 0), (0, 1), (0, 0)]))
