"""Fine-tuning: the experiment that goes on from a trained model with other images, and the weights that it starts from.

Knows no loop: what is trained, and how, is an experiment like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from sever.config import ExperimentConfig, RuleSettings, parse_config
from sever.config.overrides import with_overrides
from sever.errors import InputError
from sever.models.checkpoint import load_weights
from sever.pipeline.export.trained import TrainedModel, TrainedNetwork, read_trained
from sever.pipeline.inference.facts import DatasetFacts
from sever.progress import info
from sever.store.bundle.unpacked import torch_path
from sever.store.checkpoints import load_weights_file

GROUPS_FILE = "groups.csv"
# What was learnt is to be changed, not replaced: smaller steps, and fewer of them, than the first training took.
RATE_SHARE, EPOCH_SHARE = 0.1, 0.25
# What belongs to the images or the time of the first training, and means nothing to others.
LEFT_OUT = ("data", "folds", "sampling", "pseudo")


def fine_tuning(path: Path, data: Path, overrides: Mapping[str, Any], assigned: Mapping[str, Any]) -> ExperimentConfig:
    """The experiment that trains the network of `path` further on the images of `data`; settings that are given win.

    Raises InputError for what is no model, or holds no weights for torch.
    """
    trained, network = _start(path)
    _tell_which(path, trained, network)
    before = network.config
    values = {key: value for key, value in before.model_dump(mode="json").items() if key not in LEFT_OUT}
    told = f"{path.name.removesuffix('.sever')}-tuned"
    changes: dict[str, Any] = {
        "name": told,
        "data.root": str(data),
        "data.significant_bits": before.data.significant_bits,
        "data.max_pixels": before.data.max_pixels,
        "model.start": str(path),
        "rules": _rules(trained, network),
        "optim.encoder_learning_rate": before.optim.encoder_learning_rate * RATE_SHARE,
        "optim.decoder_learning_rate": before.optim.decoder_learning_rate * RATE_SHARE,
        "train.epochs": max(1, round(before.train.epochs * EPOCH_SHARE)),
        "train.validate_every": before.train.validate_every or 1,
    }
    if (data / GROUPS_FILE).is_file():
        changes["data.groups"] = str(data / GROUPS_FILE)
    values["train"] |= {"stop_epoch": None, "patience": None}
    return parse_config(with_overrides(with_overrides(values, changes), overrides, assigned), f"--from {path}")


def start_facts(path: Path, class_names: Sequence[str]) -> DatasetFacts:
    """What the start's network has learnt by. Raises InputError where the data set has other classes."""
    facts = _start(path)[1].facts
    if tuple(class_names) != facts.class_names:
        raise InputError(
            f"{path} knows the classes {', '.join(facts.class_names)}, but the data set has {', '.join(class_names)}; "
            "a network keeps the classes that it has"
        )
    return facts


def check_start(path: Path) -> None:
    """Raises InputError where there is no model, or one without weights for torch."""
    try:
        _start(path)
    except InputError as error:
        raise InputError(f"model.start: {error}") from error


def load_start(network: nn.Module, path: Path) -> None:
    """Put the start's weights in. Raises InputError where they are of another network."""
    load_weights(network, load_weights_file(_start(path)[1].checkpoint))


def _start(path: Path) -> tuple[TrainedModel, TrainedNetwork]:
    """The model, and the one of its networks that is trained further: the first that draws masks."""
    trained = read_trained(torch_path(path))
    network = next((each for each in trained.networks if each.draws_masks), trained.first)
    return trained, network


def _tell_which(path: Path, trained: TrainedModel, network: TrainedNetwork) -> None:
    others = len(trained.networks) - 1
    if others:
        info(
            f"{path} is made of {others + 1} networks. Only {network.config.name}, the first that draws masks, is "
            f"trained further, and the result is this one network, without the other {others}: compare it with "
            f"{path.name} before it takes its place"
        )


def _rules(trained: TrainedModel, network: TrainedNetwork) -> dict[str, Any]:
    """The model's, which may have been tuned; without the gate that another network was."""
    rules: RuleSettings = trained.rules
    values = rules.model_dump(mode="json")
    if rules.gate.kind != "none" and not network.labels_images:
        values |= {"gate": {"kind": "none"}}
    return values
