"""A report's numbers as JSON inside its page, put in and taken out again; knows not what they mean."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Self

from markupsafe import Markup
from pydantic import ConfigDict, ValidationError, model_validator

from sever.errors import InputError
from sever.reading import MIB, parse_json, read_text
from sever.records import Part, Probability

FORM = "sever-report 1"
_OPENING = '<script type="application/json" id="report-numbers">'
_EMBEDDED = re.compile(re.escape(_OPENING) + r"(.*?)</script>", re.DOTALL)
# The pictures of a page take up to 5 MB; the rest are numbers.
MOST_PAGE_BYTES = 32 * MIB
_NEEDED = "give an .html or .json that `sever report` wrote with this version, or leave --against out"


def embed(numbers: dict[str, Any]) -> Markup:
    """The numbers as a script element that no browser runs."""
    text = json.dumps(numbers, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # "<" inside a string could end the element early; as an escape it is the same JSON.
    return Markup(_OPENING + text.replace("<", "\\u003c") + "</script>")


def read_numbers(path: Path) -> dict[str, Any]:
    """The numbers of a report: its .html, or the .json beside it. Raises InputError for anything else."""
    try:
        text = read_text(path, MOST_PAGE_BYTES)
    except InputError as error:
        raise InputError(f"cannot read the report {path}: {error}; {_NEEDED}") from error
    found = _EMBEDDED.search(text)
    try:
        numbers = parse_json(found[1] if found else text, str(path))
    except InputError as error:
        raise InputError(f"{path} holds no numbers of a report: {error}; {_NEEDED}") from error
    if not isinstance(numbers, dict) or numbers.get("form") != FORM:
        given = numbers.get("form") if isinstance(numbers, dict) else None
        raise InputError(f"{path} is of the form {given!r}, not {FORM!r}; {_NEEDED}")
    try:
        _Comparable.model_validate(numbers)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"])) or "it"
        raise InputError(
            f"{path} is damaged: `{where}`: {fault['msg'].removeprefix('Value error, ')}; {_NEEDED}"
        ) from error
    return numbers


class _Some(Part):
    model_config = ConfigDict(extra="ignore")


class _Rules(_Some):
    gate: dict[str, Any]


class _About(_Some):
    name: str
    made: str
    source: str
    rules: _Rules


class _Pairs(_Some):
    image_ids: list[str]
    dice: list[list[Probability]]


class _Mean(_Some):
    mean: Probability


class _Class(_Some):
    name: str
    dice: _Mean


class _Scores(_Some):
    dice: Probability


class _Comparable(_Some):
    """What another report is compared with; everything else on a page is only shown."""

    about: _About
    scores: _Scores
    classes: list[_Class]
    pairs: _Pairs
    changes: dict[str, Any] | None

    @model_validator(mode="after")
    def _every_image_has_its_scores(self) -> Self:
        if not len(self.pairs.image_ids) == len(set(self.pairs.image_ids)) == len(self.pairs.dice):
            raise ValueError("`pairs` has not one row for each image")
        if any(len(row) != len(self.classes) for row in self.pairs.dice):
            raise ValueError("`pairs` has not one Dice for each class")
        return self
