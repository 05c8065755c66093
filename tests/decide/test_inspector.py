"""The Inspector: blending, 8-bit levels, and stored maps answering exactly as live ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sever.config import RuleSettings
from sever.decide.inspector import Inspector
from sever.decide.postprocess import quantise
from sever.decide.prediction import Predict, Prediction
from sever.decide.rules import Rules, resolve_rules


def constant(*values: float) -> Predict:
    """A predictor that answers one probability a class, for images of any size."""

    def predict(images: Sequence[np.ndarray]) -> list[Prediction]:
        maps = [np.empty((len(values), *image.shape[:2]), np.float32) for image in images]
        for probs_chw in maps:
            probs_chw[:] = np.array(values, np.float32)[:, None, None]
        return [Prediction(probs_chw) for probs_chw in maps]

    return predict


def rules_for(num_classes: int, **settings: object) -> Rules:
    return resolve_rules(RuleSettings.model_validate(settings), num_classes)


IMAGES = [np.zeros((2, 3, 1), np.uint8), np.zeros((4, 2, 1), np.uint8)]


def test_mean_of_predictors_on_levels() -> None:
    inspector = Inspector((constant(0.2, 0.9), constant(0.4, 0.1), constant(0.9, 0.2)), rules_for(2))
    first, second = (each.probs_chw for each in inspector.inspect(IMAGES))
    assert first.shape == (2, 2, 3)
    assert second.shape == (2, 4, 2)
    # Means 0.5 and 0.4: levels ceil(127.5 - 0.5) = 127 and 102.
    assert first[:, 0, 0] == pytest.approx([127 / 255, 102 / 255], abs=1e-7)
    assert first.dtype == np.float32


def test_inspect_gives_masks_of_its_own_probabilities() -> None:
    inspector = Inspector((constant(0.7, 0.8, 0.3),), rules_for(3, min_pixels=(0, 7, 0)))
    small, large = inspector.inspect(IMAGES)
    # The second class wins everywhere, but 6 pixels are fewer than the 7 it needs.
    assert small.masks_chw.sum() == 0
    assert large.masks_chw.sum(axis=(1, 2)).tolist() == [0, 8, 0]
    np.testing.assert_array_equal(inspector.masks(large.probs_chw), large.masks_chw)


def test_predictions_are_not_changed_in_place() -> None:
    kept = [np.full((1, 2, 2), 0.25, np.float32)]
    seen = [Prediction(kept[0])]
    Inspector((lambda _: seen, lambda _: seen), rules_for(1)).inspect(IMAGES[:1])
    assert (kept[0] == 0.25).all()


def test_labels_are_averaged_over_the_networks_that_have_any() -> None:
    pixels, labels = np.full((1, 2, 2), 0.75, np.float32), np.array([0.25], np.float32)
    segmenter = lambda images: [Prediction(pixels)] * len(images)  # noqa: E731
    classifier = lambda images: [Prediction(None, labels)] * len(images)  # noqa: E731
    both = lambda images: [Prediction(pixels, labels * 2)] * len(images)  # noqa: E731
    (alone,) = Inspector((segmenter,), rules_for(1)).inspect(IMAGES[:1])
    assert alone.gate_probs_c is None
    (gated,) = Inspector((segmenter, classifier, both), rules_for(1)).inspect(IMAGES[:1])
    assert gated.gate_probs_c == pytest.approx([0.375])  # (0.25 + 0.5) / 2
    np.testing.assert_array_equal(gated.probs_chw, alone.probs_chw)


def test_no_images_no_answers() -> None:
    assert Inspector((constant(0.5),), rules_for(1)).inspect([]) == []


@settings(deadline=None)
@given(
    hnp.arrays(np.float32, (3, 4, 5), elements=st.floats(0, 1, width=32)),
    st.floats(0, 1),
    st.sampled_from(["highest_probability", "allow"]),
)
def test_stored_and_live_maps_give_the_same_masks(probs_chw: np.ndarray, threshold: float, overlap: str) -> None:
    rules = rules_for(3, pixel_threshold=threshold, overlap=overlap, min_pixels=(1, 2, 3))
    inspector = Inspector((lambda _: [Prediction(probs_chw)],), rules)
    (live,) = inspector.inspect([np.zeros((4, 5, 1), np.uint8)])
    stored = quantise(live.probs_chw)
    np.testing.assert_array_equal(inspector.masks(stored), live.masks_chw)
    np.testing.assert_array_equal(inspector.masks(probs_chw), live.masks_chw)
