"""Scores of image labels against scikit-learn and numbers worked out by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from sever.decide.label_metrics import LabelSheet, average_precision, mean_of_known, roc_auc

# Few levels, so that many scores are equal.
cases = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40)


def columns(case: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([level / 5 for level, _ in case]), np.array([truth for _, truth in case])


@given(cases)
def test_agree_with_scikit_learn(case: list[tuple[int, bool]]) -> None:
    scores, truth = columns(case)
    if not truth.any():
        assert math.isnan(average_precision(scores, truth))
        assert math.isnan(roc_auc(scores, truth))
        return
    assert average_precision(scores, truth) == pytest.approx(average_precision_score(truth, scores))
    if truth.all():
        assert math.isnan(roc_auc(scores, truth))
    else:
        assert roc_auc(scores, truth) == pytest.approx(roc_auc_score(truth, scores))


@given(cases)
def test_f1_agrees_with_scikit_learn(case: list[tuple[int, bool]]) -> None:
    scores, truth = columns(case)
    sheet = LabelSheet(1)
    for score, shows in zip(scores, truth, strict=True):
        sheet.add("", np.array([score]), np.array([shows]))
    (found,) = sheet.f1_per_class()
    if truth.any() or (scores >= 0.5).any():
        assert found == pytest.approx(f1_score(truth, scores >= 0.5, zero_division=0))
    else:
        assert math.isnan(found)


def test_by_hand() -> None:
    scores, truth = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False])
    assert average_precision(scores, truth) == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert roc_auc(scores, truth) == 3 / 4
    # All scores equal: the precision is that of calling every image, and no pair is told apart.
    assert average_precision(np.full(4, 0.5), truth) == 0.5
    assert roc_auc(np.full(4, 0.5), truth) == 0.5


def sheet_of(rows: list[tuple[list[float], list[bool]]]) -> LabelSheet:
    sheet = LabelSheet(len(rows[0][0]))
    for number, (probs, truth) in enumerate(rows):
        sheet.add(f"image{number}", np.array(probs), np.array(truth))
    return sheet


def test_a_sheet_by_hand() -> None:
    sheet = sheet_of(
        [
            ([0.9, 0.2, 0.1], [True, False, False]),
            ([0.5, 0.6, 0.1], [False, True, False]),  # a half is a call
            ([0.1, 0.4, 0.1], [False, True, False]),  # the only defect that is missed
            ([0.2, 0.1, 0.4], [False, False, False]),
        ]
    )
    found = sheet.as_dict()
    assert found["images"] == 4
    assert found["label_f1_per_class"] == [pytest.approx(2 / 3), pytest.approx(2 / 3), None]
    assert found["label_f1"] == pytest.approx(2 / 3)
    assert found["label_ap_per_class"] == [1.0, 1.0, None]  # no image shows the third class
    assert found["label_auc_per_class"] == [1.0, 1.0, None]
    assert found["label_ap"] == 1.0
    assert found["defect_accuracy"] == 3 / 4
    assert found["has_defect"] == {"tp": 2, "fp": 0, "fn": 1, "tn": 1}
    assert found["has_defect_per_class"][0] == {"tp": 1, "fp": 1, "fn": 0, "tn": 2}
    assert found["positive_images_per_class"] == [1, 2, 0]
    json.dumps(found, allow_nan=False)


def test_nothing_to_average_is_nan_and_null() -> None:
    sheet = sheet_of([([0.1], [False])])
    assert math.isnan(sheet.scores()["label_ap"])
    assert sheet.as_dict()["label_ap"] is None
    assert sheet.as_dict()["defect_accuracy"] == 1
    assert math.isnan(mean_of_known(np.array([math.nan])))
    assert mean_of_known(np.array([1.0, math.nan, 0.0])) == 0.5
    empty = LabelSheet(2).as_dict()
    assert empty["images"] == 0
    assert empty["label_f1"] is None
    json.dumps(empty, allow_nan=False)
