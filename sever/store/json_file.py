"""JSON files, read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sever.errors import InputError


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
