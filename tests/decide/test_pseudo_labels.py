"""How sure a model is of its masks, by hand on tiny maps, and that one class in doubt keeps the whole image out."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sever.decide.pseudo_labels import MEASURES, Guess, Sureness
from sever.errors import InputError

# Class 1 has a mask of two pixels (0.9 and 0.7), class 2 none (0.4 at the most).
PROBS = np.array([[[0.9, 0.7, 0.1]], [[0.1, 0.4, 0.2]]], np.float32)
MASKS = np.array([[[1, 1, 0]], [[0, 0, 0]]], np.uint8)


def guess(**changes: object) -> Guess:
    return Guess(**{"probs_chw": PROBS, "masks_chw": MASKS} | changes)  # type: ignore[arg-type]


def masks(*rows: str) -> np.ndarray:
    """(C, 1, W) from a row of 0 and 1 for each class."""
    return np.array([[[int(cell) for cell in row]] for row in rows], np.uint8)


def test_certainty_is_the_mean_inside_a_mask_and_what_an_empty_class_is_short_of_one() -> None:
    verdict = Sureness("confidence").judge(guess())
    assert verdict.confidence_c == pytest.approx([0.8, 0.6])
    assert verdict.confidence == pytest.approx(0.6)
    assert verdict.shown_c.tolist() == [True, False]
    assert not verdict.is_clean


@pytest.mark.parametrize(
    ("min_present", "min_empty", "sure"),
    [
        (0.79, 0.59, [True, True]),
        (0.81, 0.59, [False, True]),
        (0.79, 0.61, [True, False]),
    ],
)
def test_each_kind_of_class_has_its_own_limit_and_all_must_be_sure(
    min_present: float, min_empty: float, sure: list[bool]
) -> None:
    verdict = Sureness("confidence", min_present, min_empty).judge(guess())
    assert verdict.sure_c.tolist() == sure
    assert verdict.keep == all(sure)


def test_a_mask_that_the_rules_dropped_leaves_its_class_in_doubt() -> None:
    """Too small to be drawn, but bright: neither a defect nor surely none."""
    verdict = Sureness("confidence").judge(guess(masks_chw=np.zeros_like(MASKS)))
    assert verdict.is_clean
    assert verdict.confidence_c == pytest.approx([0.1, 0.6])
    assert not verdict.keep


@pytest.mark.parametrize(
    ("gate", "confidence", "keep"),
    [
        ((0.95, 0.1), (0.95, 0.9), True),  # both say: class 1 alone
        ((0.7, 0.1), (0.7, 0.9), False),  # the gate leans the same way, within the margin
        ((0.95, 0.3), (0.95, 0.7), False),
        ((0.05, 0.1), (0.05, 0.9), False),  # the gate misses what the segmenter draws
        ((0.95, 0.9), (0.95, 0.1), False),  # the gate sees what the segmenter doesn't
        ((0.8, 0.2), (0.8, 0.8), True),  # on the limit
    ],
)
def test_the_gate_must_agree_with_a_margin(
    gate: tuple[float, float], confidence: tuple[float, float], keep: bool
) -> None:
    verdict = Sureness("gate").judge(guess(gate_probs_c=np.array(gate)))
    assert verdict.confidence_c == pytest.approx(confidence)
    assert verdict.keep == keep


def test_agreement_is_the_mean_dice_of_all_pairs_of_members() -> None:
    members = [masks("1100", "0000"), masks("1100", "0000"), masks("0110", "0000")]
    verdict = Sureness("agreement").judge(guess(masks_chw=members[0], members=members))
    # Class 1: Dice 1, 1/2 and 1/2. Class 2: empty in all.
    assert verdict.confidence_c == pytest.approx([2 / 3, 1])
    assert verdict.sure_c.tolist() == [False, True]


def test_one_member_that_sees_something_takes_the_certainty_from_an_empty_class() -> None:
    members = [masks("1100", "0000"), masks("1100", "0000"), masks("1100", "0001")]
    verdict = Sureness("agreement").judge(guess(masks_chw=members[0], members=members))
    assert verdict.confidence_c == pytest.approx([1, 1 / 3])
    assert not verdict.keep


@settings(deadline=None)
@given(arrays.arrays(np.uint8, (3, 2, 4, 5), elements=st.integers(0, 1)))
def test_agreement_as_a_second_way_counts_it(members: np.ndarray) -> None:
    def dice(first: np.ndarray, second: np.ndarray) -> float:
        area = int(first.sum()) + int(second.sum())
        return 2 * int((first & second).sum()) / area if area else 1.0

    expected = [
        np.mean([dice(first[index], second[index]) for first, second in combinations(members, 2)]) for index in (0, 1)
    ]
    verdict = Sureness("agreement").judge(guess(masks_chw=members[0], members=list(members)))
    assert verdict.confidence_c == pytest.approx(expected)


@settings(deadline=None)
@given(
    arrays.arrays(np.float32, (2, 3, 4), elements=st.floats(0, 1, width=32)),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_a_confidence_is_a_share_and_a_higher_limit_never_keeps_more(
    probs_chw: np.ndarray, threshold: float, low: float, high: float
) -> None:
    low, high = sorted((low, high))
    drawn = Guess(probs_chw, (probs_chw > threshold).astype(np.uint8))
    verdict = Sureness("confidence", low, low).judge(drawn)
    assert ((verdict.confidence_c >= 0) & (verdict.confidence_c <= 1)).all()
    assert verdict.keep or not Sureness("confidence", high, high).judge(drawn).keep


@pytest.mark.parametrize("by", ["gate", "agreement"])
def test_a_model_that_cannot_tell_is_told(by: str) -> None:
    with pytest.raises(InputError, match=f"--by {by} needs"):
        Sureness(by).judge(guess(members=[MASKS]))


def test_wrong_words_and_limits_are_refused() -> None:
    with pytest.raises(InputError, match=r"'guess'; allowed: confidence, gate, agreement"):
        Sureness("guess")
    with pytest.raises(InputError, match=r"--min-empty is 1\.5"):
        Sureness("gate", min_empty=1.5)


@pytest.mark.parametrize("by", MEASURES)
def test_a_limit_that_is_not_given_is_the_measures_own(by: str) -> None:
    own = MEASURES[by]
    assert Sureness(by).limits == (own.min_present, own.min_empty)
    assert Sureness(by, min_present=0.0).limits == (0.0, own.min_empty)
