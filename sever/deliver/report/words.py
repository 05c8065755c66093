"""Decision rules as sentences for a person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sever.config import GateSettings, RuleSettings


def rules_in_words(rules: RuleSettings, class_names: Sequence[str]) -> list[str]:
    """One sentence for each rule that is in force, in the order in which they are applied."""

    def each(value: Any, unit: str = "") -> str:
        return _each(value, class_names) + unit

    sentences = [GATES[rules.gate.kind](rules.gate, each)]
    sentences.append(f"A pixel belongs to a class above the probability {each(rules.pixel_threshold)}.")
    if rules.label_threshold is not None:
        sentences.append(f"A class needs a pixel above {each(rules.label_threshold)} to be there at all.")
    if rules.seed_threshold is not None:
        sentences.append(f"A component stays only with a pixel above {each(rules.seed_threshold)}.")
    if rules.fill_holes:
        sentences.append("Holes are filled.")
    if _any(rules.erode_pixels):
        sentences.append(f"Masks shrink by {each(rules.erode_pixels, ' pixels')}.")
    if _any(rules.dilate_pixels):
        sentences.append(f"Masks grow by {each(rules.dilate_pixels, ' pixels')}.")
    sentences.append(OVERLAPS[rules.overlap])
    if _any(rules.min_component_pixels):
        sentences.append(f"Components smaller than {each(rules.min_component_pixels, ' pixels')} are removed.")
    smallest = rules.min_pixels or 0
    sentences.append(
        f"A class with fewer than {each(smallest, ' pixels')} is dropped from the image."
        if _any(smallest)
        else "No class is dropped for its size."
    )
    return [sentence for sentence in sentences if sentence]


def called(name: str) -> str:
    """A class as a person says it: classes without names of their own are numbers."""
    return f"class {name}" if name.isdigit() else name


def spoken(value: Any) -> str:
    """A setting's value: numbers, words, lists, or nothing."""
    if value is None:
        return "nothing"
    return ", ".join(map(spoken, value)) if isinstance(value, list | tuple) else str(value)


def _each(value: Any, class_names: Sequence[str]) -> str:
    if not isinstance(value, tuple):
        return f"{value:g}"
    if len(set(value)) == 1:
        return f"{value[0]:g}"
    return ", ".join(f"{number:g} ({called(name)})" for name, number in zip(class_names, value, strict=True))


def _any(value: Any) -> bool:
    return any(value) if isinstance(value, tuple) else bool(value)


GATES: dict[str, Callable[[GateSettings, Callable[[Any], str]], str]] = {
    "none": lambda gate, each: "",
    "veto": lambda gate, each: f"The gate empties a class where its probability is below {each(gate.threshold)}.",
    "soft": lambda gate, each: (
        f"The gate raises the smallest area, up to {gate.factor:g} times where it sees no defect."
    ),
    "multiply": lambda gate, each: "Every pixel's probability is multiplied by the gate's.",
}
OVERLAPS = {
    "highest_probability": "Where classes overlap, the most probable one keeps the pixel.",
    "larger_component": "Where classes overlap, the larger component keeps the pixels.",
    "component_domination": "Where classes overlap, the larger component removes the smaller.",
    "allow": "Classes may overlap.",
}


def verdict_in_words(numbers: dict[str, Any]) -> str:
    """What a person should know before anything else, from the numbers of a report."""
    errors, classes = numbers["errors"], numbers["classes"]
    present = sum(each["images_with_it"] for each in classes)
    sentences = [
        f"{_against_nothing(numbers['scores']['gain_over_all_empty'])} Of {present} defects "
        f"it misses {errors['missed']['count']}, and it raises {errors['false_alarms']['count']} false alarms."
    ]
    shown = [each for each in classes if each["dice_where_present"] is not None]
    if len(shown) > 1:
        weakest = min(shown, key=lambda each: each["dice_where_present"])
        sentences.append(f"Weakest where present: {called(weakest['name'])} ({weakest['dice_where_present']:.4f}).")
    return " ".join(sentences)


def _against_nothing(gain: dict[str, float] | None) -> str:
    if gain is None:
        return "All images are of one group, so nothing can be said of how sure the score is."
    if gain["low"] > 0:
        return "Clearly better than predicting nothing at all."
    if gain["high"] < 0:
        return "Worse than predicting nothing at all."
    return "Not clearly better than predicting nothing at all."
