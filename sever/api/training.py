"""Models made: trained, cross-validated, blended, and their rules chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from sever.api.arguments import as_path, as_path_or_none, as_paths
from sever.config import ExperimentConfig, load_config, parse_config
from sever.pipeline.blend.combine import BlendRequest, as_blend, make_blend
from sever.pipeline.blend.scores import compare
from sever.pipeline.tune import TuneOptions, tune_candidate

# An experiment: a YAML file, its settings as nested dictionaries, or what `sever.config` made of either.
Experiment: TypeAlias = str | Path | Mapping[str, Any] | ExperimentConfig


def train(
    experiment: Experiment, *, saved: str | Path = "saved", output: str | Path | None = None, device: str = "auto"
) -> Path:
    """Train an experiment from the start; returns its run, a new folder saved/NAME/TIMESTAMP, for `sever.load`.

    `experiment`: a YAML file of settings (docs/reference.md lists them all), or the same as nested dictionaries; it
    needs a `name` and `data.root`. `output`: this folder instead; what was begun there with the same settings resumes,
    so that a notebook or a script may run again.

    Raises InputError for settings, images or labels that are wrong: which, and what to do.

    >>> small = {"encoder": "tu-mobilenetv3_small_050", "weights": "none", "decoder_channels": [16, 16, 8, 8, 8]}
    >>> settings = {"name": "tiny", "data": {"root": "data"}, "model": small, "augment": {"crop": [64, 96]}}
    >>> settings["train"] = {"epochs": 1, "batch_size": 4, "workers": 0}
    >>> run = sever.train(settings)
    >>> run.parent.as_posix()
    'saved/tiny'
    """
    from sever.pipeline.train.starting import train_experiment, train_into

    if output is not None:
        return train_into(_config(experiment), as_path(output, "output"), device).folder
    return train_experiment(_config(experiment), as_path(saved, "saved"), device).folder


def crossval(
    experiment: Experiment,
    *,
    saved: str | Path = "saved",
    output: str | Path | None = None,
    device: str = "auto",
    jobs: int = 0,
) -> dict[str, Any]:
    """Train every fold of an experiment, and keep what each network says of the images that it has not seen.

    `experiment`: as in `sever.train`; folds.count says how many. `jobs`: folds at a time, each a process of its own;
    0 is one for each GPU, or for each four cores. `output`: as in `sever.train`; finished folds stay.
    Returns the scores out of fold: `folder` (for `sever.load`, `blend` and `tune`), `dice` (mean over images and
    classes), `dice_all_empty`, `dice_per_class`, `dice_per_fold`; and `labels`, where the networks label images.

    Raises InputError as `sever.train`.

    >>> small = {"encoder": "tu-mobilenetv3_small_050", "weights": "none", "decoder_channels": [16, 16, 8, 8, 8]}
    >>> settings = {"name": "folds", "data": {"root": "data"}, "model": small, "augment": {"crop": [64, 96]}}
    >>> settings |= {"train": {"epochs": 1, "batch_size": 4, "workers": 0}, "folds": {"count": 2}}
    >>> scores = sever.crossval(settings, jobs=1)
    >>> scores["images"], len(scores["dice_per_class"]), sorted(scores["dice_per_fold"])
    (8, 4, ['0', '1'])
    """
    from sever.pipeline.crossval import crossvalidate, start

    folder = as_path_or_none(output, "output")
    return crossvalidate(start(_config(experiment), as_path(saved, "saved"), folder), device, jobs).as_dict()


def blend(
    members: Sequence[str | Path],
    output: str | Path,
    *,
    kind: str = "mean",
    weights: Sequence[float] = (),
    power: float | None = None,
    select: str = "none",
    overwrite: bool = False,
) -> dict[str, Any]:
    """Several cross-validations, or blends of them, as one, from their stored maps; no network runs.

    `kind`: mean, rms, power, geometric, median, maximum, vote or rank. `weights`: one for each member with maps.
    `select`: greedy chooses the weights, where that beats the equal mean. `output`: the blend's folder, a model for
    `sever.load`; an interrupted blend resumes there.
    Returns the blend's scores beside its members': `folder`, `images`, `dice`, `members`, `best_member`, `gain`.

    Raises InputError for members of other images or classes, and for a folder that holds something else.

    >>> compared = sever.blend(["saved/a", "saved/b"], "saved/both", kind="rms")
    >>> compared["images"], [each["name"] for each in compared["members"]]
    (8, ['a', 'b'])
    """
    request = BlendRequest(as_paths(members, "members"), as_blend(kind, weights, power), select)
    return compare(make_blend(request, as_path(output, "output"), overwrite))


def tune(
    candidate: str | Path, *, output: str | Path | None = None, apply: bool = False, draws: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Choose thresholds, smallest areas and the gate of a cross-validation or a blend, on images it has not seen.

    Without a gain beyond noise the rules stay. `output`: the file for the rules, by default rules-tuned.json in the
    candidate's folder. `apply`: make them the candidate's own. `draws`, `seed`: of the bootstrap.
    Returns the report: `adopted`, `gain` (mean Dice, with `low` and `high`), `conclusion`, `classes` and more.

    Raises InputError for evidence that rules can't be chosen on.

    >>> report = sever.tune("saved/a", draws=20)
    >>> report["images"], report["applied"]
    (8, False)
    """
    options = TuneOptions(as_path_or_none(output, "output"), draws, seed, apply=apply)
    return tune_candidate(as_path(candidate, "candidate"), options)


def _config(experiment: Experiment) -> ExperimentConfig:
    if isinstance(experiment, ExperimentConfig):
        return experiment
    if isinstance(experiment, Mapping):
        return parse_config(dict(experiment), "the settings")
    return load_config(as_path(experiment, "experiment, if it is not a dictionary of settings,"))
