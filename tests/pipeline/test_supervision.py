"""`to_supervision`, where that library is installed: boxes, masks, classes and confidences as `components` has them."""

from __future__ import annotations

import numpy as np
import pytest

from sever.config import RuleSettings
from sever.decide.prediction import Prediction
from sever.decide.rules import resolve_rules
from sever.pipeline.inference.inspection import Inspection

supervision = pytest.importorskip("supervision", reason="pip install 'sever[supervision]' for this test")


def found(probs_chw: np.ndarray) -> Inspection:
    names = ("pit", "scratch")
    rules = resolve_rules(RuleSettings(min_pixels=0), len(names))
    image = np.zeros((*probs_chw.shape[1:], 1), np.uint8)
    return Inspection.of(image, Prediction(probs_chw.astype(np.float32)), names, rules, name="a.png")


def test_detections_say_what_components_say() -> None:
    probs_chw = np.zeros((2, 8, 10))
    probs_chw[0, 1:3, 2:5] = 0.8
    probs_chw[1, 4:8, 7:10] = 0.6
    probs_chw[1, 7, 7] = 0
    detections = found(probs_chw).to_supervision()
    assert detections.xyxy.tolist() == [[2, 1, 5, 3], [7, 4, 10, 8]]
    assert detections.class_id.tolist() == [0, 1]
    assert detections.data["class_name"].tolist() == ["pit", "scratch"]
    assert detections.mask.shape == (2, 8, 10)
    assert detections.mask.sum(axis=(1, 2)).tolist() == [6, 11]
    assert detections.area.tolist() == [6, 11]
    np.testing.assert_allclose(detections.confidence, [0.8, 0.6], atol=1 / 510)


def test_nothing_found_is_empty() -> None:
    assert len(found(np.zeros((2, 8, 10))).to_supervision()) == 0
