"""A model as few files that `load_model` reads: what predicting with torch needs, and nothing that is told of home.

A run with the chosen checkpoints, a cross-validation with its folds' last ones, or a blend with all its members; rules
and gate included; data, maps, the state of training and paths at home left out.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import yaml

from sever.errors import InputError
from sever.files import write_json, write_text
from sever.pipeline.inference.load import evidence_members
from sever.reading import read_yaml
from sever.store import Evidence, Run, find_run
from sever.store.normality import NORMALITY

_RUN_FILES = ("config.yml", "dataset.json", "rules.json")
_CHECKPOINT_FILES = ("model.safetensors", "state.json")


def stage_model(path: Path, target: Path, epochs: Sequence[int] = ()) -> str:
    """Copy what predicting needs to `target`; returns which path below it means the model.

    `epochs` (from 1) choose checkpoints of a run; without, it is the one that `path` names, or the best. Raises
    InputError where they are not there.
    """
    if not Evidence.is_at(path):
        run, checkpoint = find_run(path)
        chosen = _chosen(run, checkpoint, epochs)
        _stage_run(run, chosen, target)
        return f"checkpoints/{chosen[0].name}" if len(chosen) == 1 else "."
    if epochs:
        raise InputError(f"{path} is not a single run; -e chooses checkpoints of a run, all else goes as a whole")
    evidence = Evidence.find(path)
    about, members = evidence.about(), evidence_members(evidence)[0]
    names = [f"members/{at}-{member.resolve().name}" for at, member in enumerate(members)]
    if not about.is_blend:
        names = [f"fold-{fold}" for fold in about.folds]
    starts = [stage_model(member, target / name) for name, member in zip(names, members, strict=True)]
    values = about.as_json()
    if about.is_blend:
        values |= {"members": [str(PurePosixPath(name) / start) for name, start in zip(names, starts, strict=True)]}
    for file in (evidence.rules_file, evidence.folder / "blend.json"):
        if file.is_file():
            shutil.copy2(file, target)
    write_json(target / "evidence.json", without_places(values))
    return "."


def _chosen(run: Run, named: Path | None, epochs: Sequence[int]) -> list[Path]:
    if not epochs:
        return [named or run.best()]
    if named is not None:
        raise InputError(f"{named} is a checkpoint already; leave -e out, or give the run's folder")
    there = run.epochs()
    missing = [epoch for epoch in epochs if epoch not in there]
    if missing:
        raise InputError(
            f"{run.folder} has no checkpoint of epoch {', '.join(map(str, missing))}; it has "
            f"{', '.join(map(str, there)) or 'none'} (train.keep_every and train.keep_best say which are kept)"
        )
    return [run.epoch_folder(epoch) for epoch in sorted(set(epochs))]


def _stage_run(run: Run, checkpoints: Sequence[Path], target: Path) -> None:
    for checkpoint in checkpoints:
        folder = target / "checkpoints" / checkpoint.name
        folder.mkdir(parents=True)
        for name in _CHECKPOINT_FILES:
            shutil.copy2(checkpoint / name, folder)
    for name in _RUN_FILES:
        shutil.copy2(run.folder / name, target)
    if (run.folder / NORMALITY).is_file():
        shutil.copy2(run.folder / NORMALITY, target)
    settings = read_yaml(target / "config.yml")
    write_text(target / "config.yml", yaml.safe_dump(without_places(settings), sort_keys=False, allow_unicode=True))


def without_places(value: Any) -> Any:
    """Settings with only the last part of each absolute path: where data lay at home is nobody's business, and of no
    use elsewhere."""
    if isinstance(value, dict):
        return {key: without_places(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_places(inner) for inner in value]
    if isinstance(value, str) and (PurePosixPath(value).is_absolute() or PureWindowsPath(value).drive):
        return PureWindowsPath(value).name
    return value
