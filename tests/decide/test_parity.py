"""Certificates: what differs is counted as computed by hand, ties are told from real changes, limits hold."""

from __future__ import annotations

import numpy as np
import pytest

from sever.config import RuleSettings
from sever.decide.parity import (
    MOST_DIFFERENCE,
    TIE,
    Parity,
    decide_labels,
    fault_of_full_precision,
    fault_of_low_precision,
)
from sever.decide.postprocess import draw_masks, quantise
from sever.decide.prediction import Prediction
from sever.decide.rules import resolve_rules

RULES = resolve_rules(RuleSettings(), 2)
BORDER = np.float32(128.5 / 255)  # between two levels, but not at a threshold
HALF = np.float32(0.5)


def decide(prediction: Prediction) -> np.ndarray:
    assert prediction.probs_chw is not None
    return draw_masks(quantise(prediction.probs_chw), RULES, prediction.label_probs_c)


def maps(*values: float) -> Prediction:
    """Of two classes and one row; the second class is clean."""
    return Prediction(np.array([[values], [[0.0] * len(values)]], np.float32))


def compared(reference: Prediction, own: Prediction, true_chw: np.ndarray | None = None) -> Parity:
    parity = Parity(decide)
    parity.add(reference, own, true_chw)
    return parity


def test_equal_answers_differ_in_nothing() -> None:
    parity = compared(maps(0.9, 0.1), maps(0.9, 0.1))
    assert (parity.largest, parity.mean_difference, parity.pixels_changed) == (0, 0, 0)
    assert (parity.rows, parity.rows_changed) == (2, 0)
    assert parity.agreement == 1
    assert fault_of_full_precision(parity) is None


def test_what_differs_is_counted() -> None:
    parity = compared(maps(0.9, 0.9, 0.1, 0.1), maps(0.9, 0.4, 0.1, 0.3))
    assert parity.largest == pytest.approx(0.5)
    assert parity.mean_difference == pytest.approx(0.7 / 8)
    assert (parity.rows_changed, parity.rows_tied, parity.pixels_changed, parity.pixels) == (1, 0, 1, 8)
    assert parity.agreement == pytest.approx((2 / 3 + 1) / 2)
    assert "0.5, more than 0.001" in str(fault_of_full_precision(parity))


@pytest.mark.parametrize(("off", "ties", "fault"), [(TIE / 2, 1, False), (MOST_DIFFERENCE * 0.9, 0, True)])
def test_a_row_that_changes_by_a_tie_is_told_from_one_that_changes(off: float, ties: int, fault: bool) -> None:
    parity = compared(maps(HALF - off / 2, 0.1), maps(HALF + off / 2, 0.1))
    assert (parity.rows_changed, parity.rows_tied) == (1, ties)
    assert (fault_of_full_precision(parity) is not None) == fault


def test_a_probability_beyond_the_limit_is_a_fault_even_where_no_row_changes() -> None:
    parity = compared(maps(0.9, 0.1), maps(0.9, 0.1 + 1.5 * MOST_DIFFERENCE))
    assert parity.rows_changed == 0
    assert "more than 0.001" in str(fault_of_full_precision(parity))


def test_not_a_number_is_beyond_every_limit() -> None:
    parity = Parity(decide_labels)
    parity.add(Prediction(None, np.array([0.5], np.float32)), Prediction(None, np.array([np.nan], np.float32)))
    assert fault_of_full_precision(parity) is not None


def test_scores_are_compared_image_by_image() -> None:
    true_chw = np.array([[[1, 1, 0, 0]], [[0, 0, 0, 0]]], np.uint8)
    parity = Parity(decide)
    for own in (maps(0.9, 0.9, 0.1, 0.1), maps(0.9, 0.2, 0.1, 0.1)):
        parity.add(maps(0.9, 0.9, 0.1, 0.1), own, true_chw)
    # The second image's first class falls from 1 to 2/3, one pair of four.
    score = parity.score_difference
    assert score is not None
    assert score.mean == pytest.approx(-1 / 12)
    assert score.low <= score.mean <= score.high
    assert "-0.0833, more than 0.002" in str(fault_of_low_precision(parity))


def test_without_labels_the_agreement_at_export_is_the_measure() -> None:
    parity = compared(maps(0.9, 0.9), maps(0.9, 0.1))
    assert parity.score_difference is None
    assert fault_of_low_precision(parity) is None
    assert fault_of_low_precision(parity, agreement=parity.agreement + 0.01) is None
    assert "at export 0.99" in str(fault_of_low_precision(parity, agreement=0.99))


def test_labels_alone_are_decisions_of_one_pixel() -> None:
    parity = Parity(decide_labels)
    reference, own = (Prediction(None, np.array(values, np.float32)) for values in ([0.6, 0.2], [0.4, 0.2]))
    parity.add(reference, own, np.array([1, 0], np.uint8)[:, None, None])
    assert (parity.rows, parity.rows_changed, parity.label_largest) == (2, 1, pytest.approx(0.2))
    assert parity.agreement == 0.5
