"""Whether a folder that -o names holds what was begun there by the same words, so that a script can be repeated.

Knows no training: only that its folder has a config.yml as soon as it can resume.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sever.config import ExperimentConfig, load_config
from sever.errors import InputError

# What a run or a cross-validation writes before its config.yml.
BEFORE_CONFIG = {"dataset.json", "environment.json", "evidence.json", "folds.csv", "pseudo.csv", "rules.json"}
SHOWN = 3


def is_begun(folder: Path, config: ExperimentConfig) -> bool:
    """Whether it resumes there; False where nothing is there yet. Raises InputError where something else is."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"-o {folder} is a file; give a folder")
    if not (folder / "config.yml").is_file():
        there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        foreign = [name for name in there if not name.startswith(".") and name not in BEFORE_CONFIG]
        if foreign:
            raise InputError(f"-o {folder} holds something else ({', '.join(foreign[:SHOWN])}); give another folder")
        return False
    before = load_config(folder / "config.yml").model_dump(mode="json")
    other = list(_differences(before, config.model_dump(mode="json")))
    if other:
        raise InputError(
            f"-o {folder} was begun with other settings ({'; '.join(other[:SHOWN])}); give another folder, or "
            "resume it as it is with -r"
        )
    return True


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key in before:
        if isinstance(before[key], Mapping) and isinstance(now.get(key), Mapping):
            yield from _differences(before[key], now[key], f"{above}{key}.")
        elif before[key] != now.get(key):
            yield f"{above}{key} was {before[key]} and is {now.get(key)}"
