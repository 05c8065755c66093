"""`sever import-2019`: a checkpoint of the 2019 solution becomes a run that predicts as it did."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import sever
from sever.config import RuleSettings, dump_config
from sever.errors import InputError
from sever.files import sha256_of, write_json, write_text
from sever.locks import one_writer
from sever.models.layout_2019 import fit_weights
from sever.models.pickled import read_pickled
from sever.models.reports import Position
from sever.near_names import missing
from sever.pipeline.inference.facts import DatasetFacts
from sever.pipeline.inference.trained import new_network
from sever.pipeline.settings_2019 import MEAN, STD, Translated, translate
from sever.reading import read_yaml
from sever.store import Run, write_rules
from sever.store.checkpoints import save_weights

BEST, EPOCHS = "model_best.pth", "checkpoint-epoch*.pth"
# What a checkpoint has and a run can't have, a sentence each.
LOSSES = (
    "The optimiser's state can't be imported, so the run can predict but not be trained further.",
    "Which images validated is not known, so `sever evaluate` needs --data.",
)
CONFIGS = ("config.yml", "config.yaml")
MOST_EPOCHS = 100_000


@dataclass(frozen=True)
class ImportedRun:
    """The new run, and a sentence for each thing that could not be had."""

    run: Run
    losses: tuple[str, ...]


def import_run(path: Path, saved: Path, name: str | None = None, mean: float = MEAN, std: float = STD) -> ImportedRun:
    """Make a run of a .pth, or of the best one in a folder of 2019; no code in the file is run.

    `mean` and `std`: by which its pixels were normalised, in 0..1. Raises InputError where its network is none of ours.
    """
    file = find_checkpoint(path)
    content = read_pickled(file)
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise InputError(f"{file} is not a checkpoint of the 2019 solution: it has no `state_dict`")
    translated = translate(_settings(content, file), name, f"the configuration of {file}")
    config = translated.config
    channels = 3 if config.model.in_channels == "rgb" else 1
    names = tuple(str(number) for number in range(1, translated.num_classes + 1))
    facts = DatasetFacts(names, (mean,) * channels, (std,) * channels)
    network = new_network(config, facts, pretrained=False)
    try:
        weights = fit_weights(_tensors(content["state_dict"], file), network.network)
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    own = network.state_dict()
    whole = {key: weights[key.removeprefix("network.")] if key.startswith("network.") else own[key] for key in own}
    return ImportedRun(_write(translated, facts, whole, content, file, saved), LOSSES + translated.losses)


def experiment_of(path: Path, name: str | None = None) -> Translated:
    """A configuration of 2019 (YAML) as an experiment, without weights. Raises InputError."""
    return translate(read_yaml(path), name, str(path))


def find_checkpoint(path: Path) -> Path:
    """The .pth that `path` means: itself, or of a folder of 2019 the best one, else the latest. Raises InputError."""
    if path.is_file():
        return path
    for folder in (path, path / "checkpoints"):
        found = sorted(folder.glob(EPOCHS), key=_epoch_in_name)
        best = [folder / BEST] if (folder / BEST).is_file() else found[-1:]
        if best:
            return best[0]
    if not path.exists():
        raise InputError(f"{missing(path, 'file or folder')}; give a run of the 2019 solution")
    raise InputError(f"{path} is neither a .pth nor a folder with {BEST} or {EPOCHS}; give a run of the 2019 solution")


def _epoch_in_name(file: Path) -> int:
    return int("".join(re.findall(r"\d+", file.stem)) or 0)


def _settings(content: Mapping[str, Any], file: Path) -> Mapping[str, Any]:
    """The configuration in the checkpoint, else the one that lies beside it."""
    if isinstance(content.get("config"), Mapping):
        return content["config"]
    beside = [folder / name for folder in (file.parent, file.parent.parent) for name in CONFIGS]
    there = next((path for path in beside if path.is_file()), None)
    if there is None:
        raise InputError(f"{file} holds no `config`, and there is no config.yml beside it; put the run's own one there")
    return read_yaml(there)


def _tensors(state: Mapping[Any, Any], file: Path) -> dict[str, Tensor]:
    wrong = [str(key) for key, value in state.items() if not isinstance(value, Tensor)]
    if wrong or not state:
        raise InputError(f"{file}: its state_dict holds {wrong[0] if wrong else 'nothing'}, where tensors should be")
    bad = [str(key) for key, value in state.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if bad:
        raise InputError(f"{file}: {bad[0]} is not finite; the training of this checkpoint had failed")
    return {str(key): value for key, value in state.items()}


def _write(
    translated: Translated,
    facts: DatasetFacts,
    weights: dict[str, Tensor],
    content: Mapping[str, Any],
    file: Path,
    saved: Path,
) -> Run:
    """The folder of a run; its configuration last, since a folder with one is a run."""
    config = translated.config
    given = content.get("epoch")
    epoch = given if type(given) is int and 0 < given <= MOST_EPOCHS else 1
    run = Run.create(saved, config.name)
    origin = {"file": file.name, "sha256": sha256_of(file), "epoch": given if isinstance(given, int) else None}
    position = vars(Position(epoch=epoch, best_epoch=epoch - 1))
    with one_writer(run.folder):
        save_weights(run.epoch_folder(epoch), weights, {"position": position, "history": [], "imported": origin})
        write_rules(run.rules_file, RuleSettings(min_pixels=config.rules.min_pixels))
        facts.write(run.dataset_file)
        about = {"imported": origin, "sever": sever.__version__, "cannot be had": [*LOSSES, *translated.losses]}
        write_json(run.folder / "environment.json", about)
        write_text(run.config_file, dump_config(config))
    return run
