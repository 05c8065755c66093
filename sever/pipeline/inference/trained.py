"""Trained networks, in torch: from a run's folder, or from the training itself; the only file here that knows torch."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
from torch import nn

from sever.config import ExperimentConfig, RuleSettings, load_config
from sever.decide.rules import resolve_rules
from sever.decide.windows import Windows
from sever.models.checkpoint import load_weights
from sever.models.classifier import build_classifier
from sever.models.device import fitting_precision, pick_device
from sever.models.features import TorchFeatures
from sever.models.forward import TorchForward
from sever.models.losses import num_outputs, probabilities
from sever.models.network import PixelNetwork
from sever.models.segmenter import build_segmenter
from sever.pipeline.inference.facts import DatasetFacts
from sever.pipeline.inference.familiar import Familiar, Sight
from sever.pipeline.inference.identity import identity_of
from sever.pipeline.inference.model import Model
from sever.pipeline.inference.network import Network
from sever.pipeline.inference.options import InferenceOptions
from sever.progress import detail
from sever.store import find_run, fingerprint, read_rules
from sever.store.checkpoints import load_weights_file
from sever.store.normality import digest_of_normality, read_normality
from sever.store.origin import digest_of


def load_run(path: Path, options: InferenceOptions) -> Model:
    """The model of a run (its best checkpoint) or of one checkpoint. Raises InputError for what can't be computed."""
    run, checkpoint = find_run(path)
    config, target = on_device(load_config(run.config_file, options.overrides()), options.device)
    facts = DatasetFacts.read(run.dataset_file)
    checkpoint = checkpoint or run.best()
    network = new_network(config, facts, pretrained=False)
    load_weights(network, load_weights_file(checkpoint))
    detail(f"{checkpoint}: {config.model.architecture}, {config.model.encoder}, on {target}, {config.train.precision}")
    identity = identity_of(config, facts, checkpoint)
    found = as_network(network.to(target), network.size_multiple, config, facts, target, path, identity)
    rules = resolve_rules(read_rules(run.rules_file), facts.num_classes)
    normality = read_normality(run.folder, fingerprint(checkpoint))
    sight = Sight(TorchFeatures(network, target), facts.channels, network.size_multiple)
    familiar = None
    if normality is not None:
        familiar = Familiar(sight, normality, digest_of([fingerprint(checkpoint), digest_of_normality(normality)]))
    return Model(run.folder, found, rules, config, facts, (checkpoint,), familiar)


def on_device(config: ExperimentConfig, device: str) -> tuple[ExperimentConfig, torch.device]:
    """The configuration with a precision that fits the device, which is no longer `auto`; and the device."""
    target = pick_device(device, config.train.precision)
    train = config.train.model_copy(update={"precision": fitting_precision(config.train.precision, target)})
    return config.model_copy(update={"train": train}), target


def model_in_training(
    network: nn.Module,
    size_multiple: int,
    config: ExperimentConfig,
    facts: DatasetFacts,
    rules: RuleSettings,
    device: torch.device,
) -> Model:
    """The model of a network that is still being trained, to validate it."""
    found = as_network(network, size_multiple, config, facts, device)
    return Model(Path(), found, resolve_rules(rules, facts.num_classes), config, facts)


def new_network(config: ExperimentConfig, facts: DatasetFacts, pretrained: bool) -> PixelNetwork:
    """The segmenter or classifier of a configuration. Raises InputError where it can't be built."""
    if config.model.task == "classify":
        return build_classifier(config.model, facts.num_classes, facts.mean, facts.std, pretrained)
    outputs = num_outputs(config.loss.name, facts.num_classes)
    labels = facts.num_classes if config.model.label_head else 0
    return build_segmenter(config.model, outputs, facts.mean, facts.std, pretrained, labels)


def as_network(
    network: nn.Module,
    size_multiple: int,
    config: ExperimentConfig,
    facts: DatasetFacts,
    device: torch.device,
    path: Path = Path(),
    identity: str = "",
) -> Network:
    forward = TorchForward(
        network=network,
        to_probabilities=partial(probabilities, name=config.loss.name),
        device=device,
        precision=config.train.precision,
        channels_last=config.train.channels_last,
    )
    windows = Windows(
        tile=config.predict.tile,
        tile_overlap=config.predict.tile_overlap,
        size_multiple=size_multiple,
        flips=tuple(config.predict.flips),
        batch_size=config.predict.batch_size,
    )
    draws_masks = config.model.task == "segment"
    labels_images = not draws_masks or config.model.label_head
    return Network(forward, windows, facts.channels, draws_masks, labels_images, path, identity)
