"""rules.json: how masks are drawn, beside the weights or the evidence that it goes with."""

from __future__ import annotations

from pathlib import Path

from sever.config import RuleSettings, parse_rules
from sever.files import write_json
from sever.reading import read_json


def read_rules(path: Path) -> RuleSettings:
    """Raises InputError for rules that are damaged, missing, or of another version."""
    return parse_rules(read_json(path), str(path))


def write_rules(path: Path, rules: RuleSettings) -> None:
    write_json(path, rules.model_dump(mode="json"))
