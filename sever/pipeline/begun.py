"""Whether a folder that -o names holds what was begun there by the same words, so that a script can be repeated.

Knows no training: only that its folder has a config.yml as soon as it can resume, and that all that came before it
stands on the folder's list of what sever wrote there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from sever.config import ExperimentConfig, load_config
from sever.errors import InputError
from sever.output import OutputFolder

CONFIG = "config.yml"
# What only a run has, or only a cross-validation; together with a config.yml, nobody else's.
MARKS = {"run": "dataset.json", "crossval": "evidence.json"}
IN_WORDS = {"run": "a training", "crossval": "a cross-validation"}
SHOWN = 3


def is_begun(folder: Path, config: ExperimentConfig, kind: Literal["run", "crossval"]) -> bool:
    """Whether it resumes there; False where nothing is there yet. Raises InputError where something else is."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"-o {folder} is a file; give a folder")
    for other in set(MARKS) - {kind}:
        if (folder / MARKS[other]).exists():
            raise InputError(f"-o {folder} holds {IN_WORDS[other]}, not {IN_WORDS[kind]}; give another folder")
    if not _has_config_of_ours(folder, MARKS[kind]):
        foreign = _foreign(folder)
        if foreign:
            raise InputError(
                f"-o {folder} holds something else ({', '.join(foreign[:SHOWN])}), which sever did not write there; "
                "give another folder"
            )
        return False
    before, now = load_config(folder / CONFIG).model_dump(mode="json"), config.model_dump(mode="json")
    if now["train"]["precision"] == "auto":  # a run keeps what that meant where it began
        now["train"]["precision"] = before["train"]["precision"]
    different = list(_differences(before, now))
    if different:
        raise InputError(
            f"-o {folder} was begun with other settings ({'; '.join(different[:SHOWN])}); give another folder, or "
            "resume it as it is with -r"
        )
    return True


def _has_config_of_ours(folder: Path, mark: str) -> bool:
    """It may have been edited since, or be older than the lists."""
    return (folder / CONFIG).is_file() and (OutputFolder(folder).has_written(CONFIG) or (folder / mark).is_file())


def _foreign(folder: Path) -> list[str]:
    """What sever did not write there, or what was changed since. What begins with a dot is the system's."""
    if not folder.is_dir():
        return []
    home = OutputFolder(folder)
    return sorted(path.name for path in folder.iterdir() if path.name[0] != "." and not home.is_ours(path.name))


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key in before:
        if isinstance(before[key], Mapping) and isinstance(now.get(key), Mapping):
            yield from _differences(before[key], now[key], f"{above}{key}.")
        elif before[key] != now.get(key):
            yield f"{above}{key} was {before[key]} and is {now.get(key)}"
