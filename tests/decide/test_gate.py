"""The gate's numbers, by hand and at the ends of their ranges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sever.config import GateSettings, RuleSettings
from sever.decide.gate import GATES, GateEffect, gate_effects, soft_min_pixels
from sever.decide.postprocess import draw_masks
from sever.decide.rules import resolve_rules
from sever.errors import InputError

SOFT_TABLE = [
    # t0, c, p, t0*c - t0*(c - 1)*p
    (600, 5, 1.0, 600),  # sure that it is there: t0
    (600, 5, 0.0, 3000),  # sure that it is not: c * t0
    (600, 5, 0.5, 1800),  # 3000 - 2400 / 2
    (600, 10, 0.0, 6000),
    (600, 10, 0.5, 3300),  # 6000 - 5400 / 2
    (1000, 20, 0.0, 20000),
    (1000, 20, 0.25, 15250),  # 20000 - 19000 / 4
    (2000, 20, 0.75, 11500),  # 40000 - 38000 * 3 / 4
    (2000, 1, 0.3, 2000),  # a factor of 1 is no gate
    (0, 20, 0.3, 0),  # no smallest area, nothing to scale
]


@pytest.mark.parametrize(("min_pixels", "factor", "prob", "expected"), SOFT_TABLE)
def test_soft_smallest_area(min_pixels: int, factor: float, prob: float, expected: float) -> None:
    assert soft_min_pixels(min_pixels, prob, factor) == pytest.approx(expected)


def test_soft_smallest_area_of_a_whole_curve() -> None:
    areas = soft_min_pixels(100, np.array([0.0, 0.5, 1.0]), 5)
    np.testing.assert_allclose(areas, [500, 300, 100])


@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 1), st.floats(1, 50))
def test_soft_smallest_area_falls_with_the_gate(min_pixels: int, one: float, other: float, factor: float) -> None:
    low, high = sorted((one, other))
    at_low, at_high = (soft_min_pixels(min_pixels, prob, factor) for prob in (low, high))
    slack = 1e-9 * (1 + min_pixels * factor)
    assert min_pixels - slack <= at_high <= at_low + slack <= min_pixels * factor + 2 * slack


def effects(gate: dict[str, Any], probs: list[float] | None) -> list[GateEffect]:
    rules = resolve_rules(RuleSettings.model_validate({"gate": gate, "min_pixels": [10, 20]}), 2)
    return gate_effects(rules, None if probs is None else np.array(probs))


def test_each_kind() -> None:
    plain = [GateEffect(10), GateEffect(20)]
    assert effects({}, None) == plain
    assert effects({"kind": "none"}, [0, 0]) == plain
    # On the threshold the class stays; 0.7 as it is stored, in float32, is on 0.7, too.
    assert [each.is_open for each in effects({"kind": "veto", "threshold": [0.7, 0.2]}, [0.7, 0.19])] == [True, False]
    assert [each.min_pixels for each in effects({"kind": "soft", "factor": 3}, [0.5, 0])] == [20, 60]
    assert [each.scale for each in effects({"kind": "multiply"}, [0.5, 0])] == [0.5, 0]


def test_every_kind_in_the_settings_has_its_function() -> None:
    kinds = set(GateSettings.model_json_schema()["properties"]["kind"]["enum"])
    assert kinds == {"none", *GATES}


@pytest.mark.parametrize("kind", sorted(GATES))
def test_a_gate_without_a_classifier_is_refused(kind: str) -> None:
    with pytest.raises(InputError, match=rf"gate.kind {kind}.*no classifier"):
        effects({"kind": kind}, None)


def test_masks_are_not_drawn_past_a_gate_that_nobody_answers() -> None:
    rules = resolve_rules(RuleSettings(gate=GateSettings(kind="soft")), 1)
    with pytest.raises(InputError, match="no classifier"):
        draw_masks(np.full((1, 2, 2), 0.9, np.float32), rules)


@given(st.integers(0, 10**6), st.floats(1, 100))
def test_a_gate_that_is_sure_leaves_the_smallest_area_exactly(min_pixels: int, factor: float) -> None:
    assert soft_min_pixels(min_pixels, 1.0, factor) == min_pixels
    assert soft_min_pixels(min_pixels, 0.0, factor) == pytest.approx(min_pixels * factor)
