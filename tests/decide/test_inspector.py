"""The Inspector: blending, 8-bit levels, and stored maps answering exactly as live ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sever.config import RuleSettings
from sever.decide.inspector import Inspector, Predict
from sever.decide.postprocess import quantise


def constant(*values: float) -> Predict:
    """A predictor that answers one probability a class, for images of any size."""

    def predict(images: Sequence[np.ndarray]) -> list[np.ndarray]:
        maps = [np.empty((len(values), *image.shape[:2]), np.float32) for image in images]
        for probs_chw in maps:
            probs_chw[:] = np.array(values, np.float32)[:, None, None]
        return maps

    return predict


IMAGES = [np.zeros((2, 3, 1), np.uint8), np.zeros((4, 2, 1), np.uint8)]


def test_mean_of_predictors_on_levels() -> None:
    inspector = Inspector((constant(0.2, 0.9), constant(0.4, 0.1), constant(0.9, 0.2)), RuleSettings(), (0, 0))
    first, second = inspector.probabilities(IMAGES)
    assert first.shape == (2, 2, 3)
    assert second.shape == (2, 4, 2)
    # Means 0.5 and 0.4: levels ceil(127.5 - 0.5) = 127 and 102.
    assert first[:, 0, 0] == pytest.approx([127 / 255, 102 / 255], abs=1e-7)
    assert first.dtype == np.float32


def test_inspect_gives_masks_of_its_own_probabilities() -> None:
    inspector = Inspector((constant(0.7, 0.8, 0.3),), RuleSettings(), (0, 7, 0))
    small, large = inspector.inspect(IMAGES)
    # The second class wins everywhere, but 6 pixels are fewer than the 7 it needs.
    assert small.masks_chw.sum() == 0
    assert large.masks_chw.sum(axis=(1, 2)).tolist() == [0, 8, 0]
    np.testing.assert_array_equal(inspector.masks(large.probs_chw), large.masks_chw)


def test_predictions_are_not_changed_in_place() -> None:
    kept = [np.full((1, 2, 2), 0.25, np.float32)]
    Inspector((lambda _: kept, lambda _: kept), RuleSettings(), (0,)).probabilities(IMAGES[:1])
    assert (kept[0] == 0.25).all()


def test_no_images_no_answers() -> None:
    assert Inspector((constant(0.5),), RuleSettings(), (0,)).inspect([]) == []


@settings(deadline=None)
@given(
    hnp.arrays(np.float32, (3, 4, 5), elements=st.floats(0, 1, width=32)),
    st.floats(0, 1),
    st.sampled_from(["highest_probability", "allow"]),
)
def test_stored_and_live_maps_give_the_same_masks(probs_chw: np.ndarray, threshold: float, overlap: str) -> None:
    rules = RuleSettings(pixel_threshold=threshold, overlap=overlap)
    inspector = Inspector((lambda _: [probs_chw],), rules, (1, 2, 3))
    (live,) = inspector.inspect([np.zeros((4, 5, 1), np.uint8)])
    stored = quantise(live.probs_chw)
    np.testing.assert_array_equal(inspector.masks(stored), live.masks_chw)
    np.testing.assert_array_equal(inspector.masks(probs_chw), live.masks_chw)
