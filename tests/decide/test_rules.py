"""Rules as data: one value a class, faults told in words, and rules.json that older and newer releases read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sever.config import RuleSettings, parse_config, parse_rules
from sever.decide.rules import ClassRules, resolve_rules, with_min_pixels
from sever.errors import InputError

MIN_PIXELS_TABLE = [
    # given, classes, resolved
    ({}, 4, (0, 0, 0, 0)),  # no folder and no number of classes sets a rule
    ({"min_pixels": None}, 3, (0, 0, 0)),  # configurations of earlier runs
    ({"min_pixels": 25}, 3, (25, 25, 25)),
    ({"min_pixels": [1, 2]}, 2, (1, 2)),
]


@pytest.mark.parametrize(("given", "num_classes", "expected"), MIN_PIXELS_TABLE)
def test_min_pixels(given: dict[str, Any], num_classes: int, expected: tuple[int, ...]) -> None:
    assert with_min_pixels(RuleSettings.model_validate(given), num_classes).min_pixels == expected


def test_one_value_holds_for_all_classes_and_a_list_for_one_each() -> None:
    settings = RuleSettings.model_validate(
        {
            "gate": {"kind": "soft", "threshold": [0.1, 0.2], "factor": 10},
            "pixel_threshold": 0.3,
            "label_threshold": [0.4, 0.5],
            "seed_threshold": 0.6,
            "erode_pixels": [1, 2],
            "dilate_pixels": 3,
            "min_component_pixels": [4, 5],
            "min_pixels": 6,
            "fill_holes": True,
            "overlap": "allow",
        }
    )
    rules = resolve_rules(settings, 2)
    assert rules.classes == (
        ClassRules(0.3, 0.4, 0.6, 1, 3, 4, 6, gate_threshold=0.1),
        ClassRules(0.3, 0.5, 0.6, 2, 3, 5, 6, gate_threshold=0.2),
    )
    assert (rules.num_classes, rules.overlap, rules.fill_holes) == (2, "allow", True)
    assert (rules.gate_kind, rules.gate_factor) == ("soft", 10)


WRONG_LENGTHS = [
    # setting, rules with one value too many, or too few
    ("pixel_threshold", {"pixel_threshold": [0.5]}),
    ("label_threshold", {"label_threshold": [0.9, 0.9, 0.9]}),
    ("seed_threshold", {"seed_threshold": [0.9, 0.9, 0.9]}),
    ("erode_pixels", {"erode_pixels": [1, 2, 3]}),
    ("dilate_pixels", {"dilate_pixels": [1]}),
    ("min_component_pixels", {"min_component_pixels": [1, 2, 3]}),
    ("min_pixels", {"min_pixels": []}),
    ("gate.threshold", {"gate": {"threshold": [0.5, 0.5, 0.5]}}),
]


@pytest.mark.parametrize(("name", "values"), WRONG_LENGTHS)
def test_a_list_of_another_length_than_the_classes_is_refused(name: str, values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=rf"rules\.{name} has \d entries .* there are 2 classes"):
        resolve_rules(RuleSettings.model_validate(values), 2)


def test_wrong_number_of_min_pixels_before_training() -> None:
    with pytest.raises(InputError, match=r"3 entries .* there are 2 classes"):
        with_min_pixels(RuleSettings(min_pixels=(1, 2, 3)), 2)


FAULTS = [
    # rules, what the message must name
    ({"pixel_threshold": 1.5}, ["rules.pixel_threshold", "1.5", "less than or equal to 1"]),
    ({"seed_threshold": [0.9, -0.1]}, ["rules.seed_threshold.1", "-0.1"]),
    ({"label_threshold": "high"}, ["rules.label_threshold", "'high'"]),
    ({"erode_pixels": -1}, ["rules.erode_pixels", "-1"]),
    ({"dilate_pixels": 1.5}, ["rules.dilate_pixels", "1.5"]),
    ({"overlap": "larger"}, ["rules.overlap", "'larger'", "component_domination"]),
    ({"gate": {"kind": "hard"}}, ["rules.gate.kind", "'hard'", "veto"]),
    ({"gate": {"factor": 0.5}}, ["rules.gate.factor", "0.5", "greater than or equal to 1"]),
    ({"min_pixel": 3}, ["rules.min_pixel", "did you mean `min_pixels`"]),
    # thresholds that can have no effect
    ({"seed_threshold": 0.4}, ["seed_threshold 0.4 is below pixel_threshold 0.5", "no effect"]),
    ({"label_threshold": 0.4}, ["label_threshold 0.4 is below pixel_threshold 0.5", "no effect"]),
    ({"pixel_threshold": [0.3, 0.6], "seed_threshold": 0.5}, ["pixel_threshold 0.6 (class 2)"]),
    ({"pixel_threshold": 0.6, "label_threshold": [0.9, 0.5]}, ["label_threshold 0.5", "(class 2)"]),
    # rules of another time
    ({"version": 2}, ["rules.version", "2", "version 1 is read", "install the release"]),
]


@pytest.mark.parametrize(("values", "named"), FAULTS)
def test_fault_names_place_value_and_cure(values: dict[str, Any], named: list[str]) -> None:
    with pytest.raises(InputError) as in_file:
        parse_rules(values, source="run/rules.json")
    with pytest.raises(InputError) as in_config:
        parse_config({"name": "x", "data": {"root": "d"}, "rules": values}, source="x.yml")
    for message, source in ((str(in_file.value), "run/rules.json"), (str(in_config.value), "x.yml")):
        assert message.startswith(f"{source}: ")
        assert [part for part in named if part not in message] == []
    with pytest.raises(ValidationError):
        RuleSettings.model_validate(values)


@pytest.mark.parametrize("name", ["seed_threshold", "label_threshold"])
def test_a_threshold_equal_to_the_pixels_is_how_one_class_goes_without(name: str) -> None:
    RuleSettings.model_validate({"pixel_threshold": [0.3, 0.6], name: [0.5, 0.6]})


def test_of_rules_from_the_future_only_the_version_is_told() -> None:
    with pytest.raises(InputError) as caught:
        parse_rules({"version": 7, "shape_prior": "oval", "overlap": 3}, source="rules.json")
    assert len(str(caught.value).splitlines()) == 1
    assert "7" in str(caught.value)


@pytest.mark.parametrize("content", [[], "rules", None])
def test_a_file_that_holds_no_rules(content: object) -> None:
    with pytest.raises(InputError, match=r"rules\.json.*section"):
        parse_rules(content, source="rules.json")


def test_rules_of_the_first_release_are_read() -> None:
    old = {"pixel_threshold": 0.4, "min_pixels": [600, 600], "overlap": "highest_probability"}
    settings = parse_rules(old, source="rules.json")
    assert settings == RuleSettings(pixel_threshold=0.4, min_pixels=(600, 600))
    assert (settings.version, settings.gate.kind) == (1, "none")


levels = st.floats(0.5, 1)
pixels = st.integers(0, 5000)


def one_or_each(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return values | st.lists(values, min_size=3, max_size=3)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "gate": st.fixed_dictionaries(
                {"kind": st.sampled_from(["none", "veto", "soft", "multiply"])},
                optional={"threshold": one_or_each(levels), "factor": st.floats(1, 100)},
            ),
            "pixel_threshold": one_or_each(st.floats(0, 0.5)),
            "label_threshold": st.none() | one_or_each(levels),
            "seed_threshold": st.none() | one_or_each(levels),
            "fill_holes": st.booleans(),
            "erode_pixels": one_or_each(pixels),
            "dilate_pixels": one_or_each(pixels),
            "overlap": st.sampled_from(["highest_probability", "larger_component", "component_domination", "allow"]),
            "min_component_pixels": one_or_each(pixels),
            "min_pixels": st.none() | one_or_each(pixels),
        },
    )
)
def test_rules_come_back_from_json_as_they_were(values: dict[str, Any]) -> None:
    settings = parse_rules(values, source="x")
    text = json.dumps(settings.model_dump(mode="json"))
    assert parse_rules(json.loads(text), source="rules.json") == settings
    assert resolve_rules(parse_rules(json.loads(text), source="rules.json"), 3) == resolve_rules(settings, 3)
