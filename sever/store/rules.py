"""rules.json: how masks are drawn, beside the weights or the evidence that it goes with."""

from __future__ import annotations

from pathlib import Path

from sever.config import RuleSettings, parse_rules
from sever.errors import InputError
from sever.files import write_json
from sever.reading import read_json


def read_rules(path: Path) -> RuleSettings:
    """Raises InputError for rules that are damaged, missing, or of another version."""
    try:
        return parse_rules(read_json(path), str(path))
    except InputError as error:
        raise InputError(f"{error}; mend it, or restore it from a copy") from error


def write_rules(path: Path, rules: RuleSettings) -> None:
    write_json(path, rules.model_dump(mode="json"))
