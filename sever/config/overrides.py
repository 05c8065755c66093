"""Settings said on the command line over those of a file: `train.seed=5`; knows not which option said them."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from sever.config.experiment import ExperimentConfig
from sever.errors import InputError
from sever.reading import parse_yaml

NEAR = 0.6  # likeness from which a known key is offered for an unknown one
OFFERED = 3


def read_assignments(texts: Sequence[str], settings: type[BaseModel] = ExperimentConfig) -> dict[str, Any]:
    """`KEY=VALUE` texts -> values by dotted key, typed as in a YAML file: numbers, lists, null, sections.

    Raises InputError for what is no assignment, a key that the settings lack (naming the nearest), and a key given
    twice.
    """
    assigned: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals or not key:
            raise InputError(f"--set {text} is not KEY=VALUE, as --set train.epochs=20")
        if key in assigned:
            raise InputError(f"--set gives `{key}` twice; give it once")
        _raise_unless_known(text, key, settings)
        assigned[key] = _typed(text, value)
    return assigned


def with_overrides(
    values: Mapping[str, Any], overrides: Mapping[str, Any], assigned: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The settings with what was said on the command line put over them.

    `overrides` are those of options, None where one was not given; in `assigned` None is a value. Raises InputError for
    a setting in both.
    """
    given = {key: value for key, value in overrides.items() if value is not None}
    if both := sorted(given.keys() & (assigned or {}).keys()):
        raise InputError(f"--set {both[0]} and another option both give `{both[0]}`; give one of them")
    merged = dict(values)
    for dotted, value in (given | dict(assigned or {})).items():
        merged = _put(merged, dotted.split("."), value)
    return merged


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a setting of this type is, or may be."""
    options = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType, tuple, Annotated) else ()
    found = (option for option in (annotation, *options) if isinstance(option, type) and issubclass(option, BaseModel))
    return next(found, None)


def known_keys(settings: type[BaseModel] = ExperimentConfig, prefix: str = "") -> Iterator[str]:
    """Every setting by its dotted name, sections included."""
    for name, field in settings.model_fields.items():
        yield prefix + name
        section = section_of(field.annotation)
        if section is not None:
            yield from known_keys(section, f"{prefix}{name}.")


def _put(values: Mapping[str, Any], keys: Sequence[str], value: Any) -> dict[str, Any]:
    """A copy with one value in its place. What stands where a section should is left to the validation."""
    first, *rest = keys
    if not rest:
        return {**values, first: value}
    inner = values.get(first)
    if inner is not None and not isinstance(inner, Mapping):
        return dict(values)
    return {**values, first: _put(inner or {}, rest, value)}


def _typed(text: str, value: str) -> Any:
    return parse_yaml(value, f"--set {text}")


def _raise_unless_known(text: str, key: str, settings: type[BaseModel]) -> None:
    known = list(known_keys(settings))
    if key in known:
        return
    near = _nearest(key, known)
    hint = (
        f"did you mean {' or '.join(f'`{name}`' for name in near)}?" if near else "`sever config show` lists them all"
    )
    raise InputError(f"--set {text}: unknown setting `{key}`; {hint}")


def _nearest(key: str, known: Sequence[str]) -> list[str]:
    """Known keys that are like this one, as a whole or (a section forgotten or mistaken) in their last part."""

    def likeness(name: str) -> float:
        whole = difflib.SequenceMatcher(None, key, name).ratio()
        last = difflib.SequenceMatcher(None, key.rpartition(".")[2], name.rpartition(".")[2]).ratio()
        return max(whole, last)

    return sorted((name for name in known if likeness(name) >= NEAR), key=lambda name: -likeness(name))[:OFFERED]
