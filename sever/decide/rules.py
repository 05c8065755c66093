"""The rules of one data set: the settings with one value a class; knows nothing of pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from sever.config import RuleSettings
from sever.errors import InputError

Value = TypeVar("Value", int, float)


@dataclass(frozen=True)
class ClassRules:
    """What holds for one class; the meaning and unit of each value is that of RuleSettings."""

    pixel_threshold: float
    label_threshold: float | None
    seed_threshold: float | None
    erode_pixels: int
    dilate_pixels: int
    min_component_pixels: int
    min_pixels: int
    gate_threshold: float


@dataclass(frozen=True)
class Rules:
    """The whole rule set, resolved for `len(classes)` classes."""

    classes: tuple[ClassRules, ...]
    overlap: str = "highest_probability"
    fill_holes: bool = False
    gate_kind: str = "none"
    gate_factor: float = 5.0

    @property
    def num_classes(self) -> int:
        return len(self.classes)


def resolve_rules(settings: RuleSettings, num_classes: int) -> Rules:
    """One value a class from what the settings say. Raises InputError for a list of another length than that."""

    def each(name: str, given: Value | tuple[Value, ...]) -> tuple[Value, ...]:
        return _one_a_class(name, given, num_classes)

    def each_or_none(name: str, given: float | tuple[float, ...] | None) -> tuple[float | None, ...]:
        return (None,) * num_classes if given is None else each(name, given)

    columns = zip(
        each("pixel_threshold", settings.pixel_threshold),
        each_or_none("label_threshold", settings.label_threshold),
        each_or_none("seed_threshold", settings.seed_threshold),
        each("erode_pixels", settings.erode_pixels),
        each("dilate_pixels", settings.dilate_pixels),
        each("min_component_pixels", settings.min_component_pixels),
        each("min_pixels", settings.min_pixels),
        each("gate.threshold", settings.gate.threshold),
        strict=True,
    )
    classes = tuple(ClassRules(*values) for values in columns)
    return Rules(classes, settings.overlap, settings.fill_holes, settings.gate.kind, settings.gate.factor)


def settings_of(rules: Rules) -> RuleSettings:
    """The settings that resolve to these rules; each value stands once a class."""

    def each(name: str) -> list[Any]:
        return [getattr(entry, name) for entry in rules.classes]

    def each_or_none(name: str) -> list[float] | None:
        """One that is not asked for stands as the pixel threshold, which asks for nothing more."""
        given = each(name)
        if all(value is None for value in given):
            return None
        return [pixel if value is None else value for value, pixel in zip(given, each("pixel_threshold"), strict=True)]

    same = ("pixel_threshold", "erode_pixels", "dilate_pixels", "min_component_pixels", "min_pixels")
    values: dict[str, Any] = {name: each(name) for name in same}
    values |= {name: each_or_none(name) for name in ("label_threshold", "seed_threshold")}
    gate = {"kind": rules.gate_kind, "threshold": each("gate_threshold"), "factor": rules.gate_factor}
    return RuleSettings.model_validate(
        values | {"gate": gate, "overlap": rules.overlap, "fill_holes": rules.fill_holes}
    )


def with_min_pixels(settings: RuleSettings, num_classes: int) -> RuleSettings:
    """The settings with one smallest area a class, as they travel with the weights. Raises InputError as above."""
    return settings.model_copy(update={"min_pixels": _one_a_class("min_pixels", settings.min_pixels, num_classes)})


def _one_a_class(name: str, given: Value | tuple[Value, ...], num_classes: int) -> tuple[Value, ...]:
    if not isinstance(given, tuple):
        return (given,) * num_classes
    if len(given) != num_classes:
        raise InputError(
            f"rules.{name} has {len(given)} entries ({given}), but there are {num_classes} classes; "
            "give one number a class, or a single number for all"
        )
    return given
