"""Levels of the classes alone that can claim a pixel draw the same masks as all levels do, whatever the rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sever.config import RuleSettings
from sever.decide.postprocess import claimed_levels, draw_masks, quantise
from sever.decide.rules import resolve_rules
from sever.errors import InputError

CLASSES = 3
_THRESHOLD = st.sampled_from([0.0, 0.2, 0.5, 127 / 255, 128 / 255, 0.9])
# Below a pixel's own threshold they would have no effect, and are refused.
_HIGHER = st.sampled_from([0.9, 0.95])
_RULES = st.fixed_dictionaries(
    {
        "pixel_threshold": st.tuples(*[_THRESHOLD] * CLASSES),
        "label_threshold": st.none() | _HIGHER,
        "seed_threshold": st.none() | _HIGHER,
        "min_pixels": st.integers(0, 12),
        "min_component_pixels": st.integers(0, 4),
        "dilate_pixels": st.integers(0, 2),
        "fill_holes": st.booleans(),
        "overlap": st.sampled_from(["highest_probability", "larger_component", "component_domination", "allow"]),
        "gate": st.fixed_dictionaries({"kind": st.sampled_from(["none", "veto", "soft", "multiply"])}),
    }
)
# Tops around every threshold, and exactly on levels.
_TOPS = st.tuples(*[st.sampled_from([0.0, 0.19, 0.2, 0.498, 0.5, 0.502, 0.7, 1.0])] * CLASSES)


@settings(deadline=None)
@given(_RULES, _TOPS, st.integers(0, 1000))
def test_they_draw_what_all_levels_draw(rules: dict[str, object], tops: tuple[float, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    probs_chw = rng.random((CLASSES, 9, 11), np.float32) * np.array(tops, np.float32)[:, None, None]
    gate_c = rng.random(CLASSES, np.float32)
    resolved = resolve_rules(RuleSettings.model_validate(rules), CLASSES)
    expected = draw_masks(quantise(probs_chw), resolved, gate_c)
    levels = claimed_levels(probs_chw, resolved, gate_c)
    if levels is None:
        assert not expected.any()
    else:
        np.testing.assert_array_equal(draw_masks(levels, resolved, gate_c), expected)


def test_a_map_below_every_threshold_is_done_with_by_its_highest_probability() -> None:
    rules = resolve_rules(RuleSettings(pixel_threshold=0.5), 2)
    low = np.full((2, 4, 4), 0.4, np.float32)
    assert claimed_levels(low, rules) is None
    low[1, 2, 2] = 0.6
    levels = claimed_levels(low, rules)
    assert levels is not None
    assert not levels[0].any()
    assert levels[1, 2, 2] == 153


@pytest.mark.parametrize("value", [np.nan, 1.2, -0.3])
def test_what_is_no_probability_is_refused(value: float) -> None:
    """Also where it is hidden in a map that no rule would let pass."""
    probs_chw = np.zeros((2, 4, 4), np.float32)
    probs_chw[1, 3, 3] = value
    with pytest.raises(InputError, match="probabilities run from"):
        claimed_levels(probs_chw, resolve_rules(RuleSettings(), 2))
