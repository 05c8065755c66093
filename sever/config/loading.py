"""From YAML to settings, and in words what is wrong with them; light, so that a misspelt key is told at once."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from sever.config.ensemble import EnsembleSettings
from sever.config.experiment import ExperimentConfig
from sever.config.kaggle import KaggleSettings
from sever.config.overrides import section_of, with_overrides
from sever.config.rules import RuleSettings
from sever.config.serve import ServeSettings
from sever.config.story import StorySettings
from sever.errors import InputError
from sever.reading import read_yaml

AnySettings = TypeVar("AnySettings", bound=BaseModel)
KAGGLE_FILE = Path("kaggle.yml")
SHOWN, LONGEST_SHOWN = 20, 200  # faults that are spelt out, and characters of what was given


def load_config(
    path: Path, overrides: Mapping[str, Any] | None = None, assigned: Mapping[str, Any] | None = None
) -> ExperimentConfig:
    """Read and validate one experiment's YAML; `overrides` maps `section.key` to a value that wins, None to nothing.

    `assigned` are those of `--set` (`read_assignments`), where None is a value. Raises InputError, one line a fault:
    where it is, what was given, what is right.
    """
    values = read_yaml(path)
    if looks_like_2019(values):
        raise InputError(
            f"{path} is a configuration of the 2019 solution; `sever import-2019 {path}` prints it as an experiment, "
            "and makes a run of its checkpoint"
        )
    source = f"{path} with --set {', '.join(assigned)}" if assigned else str(path)
    return parse_config(with_overrides(values, overrides or {}, assigned), source)


def looks_like_2019(values: Any) -> bool:
    """Whether these are settings of khornlund's 2019 solution."""
    return isinstance(values, Mapping) and {"arch", "optimizer"} <= set(values)


def load_ensemble(path: Path) -> EnsembleSettings:
    """Read and validate the recipe of a blend. Raises InputError as `load_config` does."""
    return _validated(EnsembleSettings, read_yaml(path), str(path))


def load_kaggle(path: Path | None, overrides: dict[str, Any]) -> KaggleSettings:
    """Settings for Kaggle from a YAML, by default kaggle.yml where there is one; `overrides` win. Raises InputError."""
    path = path or (KAGGLE_FILE if KAGGLE_FILE.is_file() else None)
    return _validated(KaggleSettings, (read_yaml(path) if path else {}) | overrides, str(path or "options"))


def load_story(path: Path) -> StorySettings:
    """Read and validate a story for `sever run`. Raises InputError as `load_config` does."""
    return _validated(StorySettings, read_yaml(path), str(path))


def load_serve(path: Path | None, overrides: Mapping[str, Any], assigned: Mapping[str, Any]) -> ServeSettings:
    """Settings of the service from a YAML, or the defaults; `overrides` win, but for None. Raises InputError."""
    values = with_overrides(read_yaml(path) if path else {}, overrides, assigned)
    return _validated(ServeSettings, values, str(path or "the options"))


def parse_config(values: dict[str, Any], source: str) -> ExperimentConfig:
    """Validate settings that came from `source`, which is named in the InputError."""
    return _validated(ExperimentConfig, values, source)


def _validated(settings: type[AnySettings], values: dict[str, Any], source: str) -> AnySettings:
    try:
        return settings.model_validate(values)
    except ValidationError as error:
        raise _refused(_innermost(error.errors()), source, settings) from error


def parse_rules(values: Any, source: str) -> RuleSettings:
    """Validate rules that travelled with weights (the content of rules.json), named `source` in the InputError."""
    try:
        return RuleSettings.model_validate(values)
    except ValidationError as error:
        found = [fault | {"loc": ("rules", *fault["loc"])} for fault in error.errors()]
        # Of another version, the other faults would only be its news.
        found = [fault for fault in found if fault["loc"][1:] == ("version",)] or found
        raise _refused(_innermost(found), source, ExperimentConfig) from error


def _refused(faults: list[Any], source: str, root: type[BaseModel]) -> InputError:
    lines = [f"{source}: {_explain(fault, root)}" for fault in faults[:SHOWN]]
    if len(faults) > SHOWN:
        lines.append(f"{source}: and {len(faults) - SHOWN} more faults")
    return InputError("\n".join(lines))


def dump_config(config: ExperimentConfig) -> str:
    """The whole configuration as YAML, defaults included, in the order of the models."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def json_schema() -> dict[str, Any]:
    """JSON schema of an experiment's YAML, for editors."""
    return ExperimentConfig.model_json_schema()


def _innermost(faults: list[Any]) -> list[Any]:
    """Without what the other types of a union say about a value that one of them could look into."""
    places = [_place(fault) for fault in faults]
    inner = {place[:end] for place in places for end in range(1, len(place))}
    return [fault for fault, place in zip(faults, places, strict=True) if place not in inner]


def _place(fault: Any) -> tuple[str, ...]:
    return tuple(str(part) for part in fault["loc"] if not _is_union_tag(part))


def _explain(fault: Any, root: type[BaseModel]) -> str:
    where = shorten(".".join(_place(fault)))
    if fault["type"] == "extra_forbidden":
        return f"unknown setting `{where}`{_nearest(fault['loc'], root)}"
    if fault["type"] == "missing":
        return f"setting `{where}` is missing"
    if fault["type"] in ("model_type", "model_attributes_type"):
        return f"setting `{where}` is {shorten(repr(fault['input']))}: it is a section, which holds `key: value` lines"
    message = fault["msg"].removeprefix("Value error, ")
    if isinstance(fault["input"], dict):  # settings that don't go together: the message names them
        return f"setting `{where}`: {message}" if where else message
    return f"setting `{where}` is {shorten(repr(fault['input']))}: {message[0].lower()}{message[1:]}"


def shorten(text: str) -> str:
    """What was given, for a message: a file may hold a megabyte where a word belongs."""
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def _is_union_tag(part: int | str) -> bool:
    """pydantic adds the tried type to the place of a fault in a union, e.g. `tuple[int, ...]`."""
    return isinstance(part, str) and (part in {"int", "float", "str", "constrained-int"} or "[" in part)


def _nearest(location: tuple[int | str, ...], root: type[BaseModel]) -> str:
    section, parts = root, iter(location[:-1])
    for part in parts:
        if isinstance(part, str):  # a number is a place in a list of sections
            annotation = section.model_fields[part].annotation
            if get_origin(annotation) is dict:  # of sections, under names of the user's
                annotation, _ = get_args(annotation)[1], next(parts, None)
            found = section_of(annotation)
            assert found is not None, f"{section.__name__}.{part} is not a section"
            section = found
    known = list(section.model_fields)
    near = difflib.get_close_matches(shorten(str(location[-1])), known, n=2, cutoff=0.5)
    if near:
        return f"; did you mean {' or '.join(f'`{name}`' for name in near)}?"
    return f"; allowed here: {', '.join(known)}"
