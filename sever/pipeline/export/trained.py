"""What a run, a cross-validation or a blend is made of: its networks as they were trained, and how they are blended."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import yaml

from sever.config import ExperimentConfig, RuleSettings, load_config
from sever.data.layouts import read_table
from sever.data.table import ImageTable
from sever.errors import InputError
from sever.models.checkpoint import load_weights
from sever.models.network import PixelNetwork
from sever.pipeline.export.stage import without_places
from sever.pipeline.inference.facts import DatasetFacts
from sever.pipeline.inference.load import evidence_members
from sever.pipeline.inference.trained import new_network
from sever.reading import read_yaml
from sever.store import Evidence, Run, find_run, fingerprint, read_rules
from sever.store.bundle.manifest import NetworkRecord, NodeRecord
from sever.store.checkpoints import load_weights_file
from sever.store.records import BlendValues

Kind = Literal["run", "crossval", "blend"]


@dataclass(frozen=True)
class TrainedNetwork:
    """One network of a model."""

    run: Run
    checkpoint: Path
    config: ExperimentConfig
    facts: DatasetFacts

    @cached_property
    def labelled(self) -> ImageTable:
        """All labelled images of its data set, read once. Raises InputError where they are not there."""
        return read_table(self.config.data)[0]

    @property
    def draws_masks(self) -> bool:
        return self.config.model.task == "segment"

    @property
    def labels_images(self) -> bool:
        return not self.draws_masks or self.config.model.label_head

    def build(self) -> PixelNetwork:
        """With its weights, on the CPU."""
        network = new_network(self.config, self.facts, pretrained=False)
        load_weights(network, load_weights_file(self.checkpoint))
        return network.eval()

    def record(self, size_multiple: int) -> NetworkRecord:
        model, predict = self.config.model, self.config.predict
        return NetworkRecord(
            name=self.config.name,
            architecture=model.architecture if self.draws_masks else "classifier",
            encoder=model.encoder,
            weights_sha256=fingerprint(self.checkpoint),
            channels=self.facts.channels,
            mean=self.facts.mean,
            std=self.facts.std,
            draws_masks=self.draws_masks,
            labels_images=self.labels_images,
            size_multiple=size_multiple,
            tile=predict.tile,
            tile_overlap=predict.tile_overlap,
            batch_size=predict.batch_size,
            flips=predict.flips,
        )

    def settings_text(self) -> str:
        """Its settings as YAML, without places at home."""
        return yaml.safe_dump(without_places(read_yaml(self.run.config_file)), sort_keys=False, allow_unicode=True)


@dataclass(frozen=True)
class TrainedModel:
    """A whole model; `node` names its networks by their place in `networks`."""

    path: Path
    kind: Kind
    name: str
    node: NodeRecord
    networks: tuple[TrainedNetwork, ...]
    rules: RuleSettings

    @property
    def first(self) -> TrainedNetwork:
        return self.networks[0]

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.first.facts.class_names

    @property
    def draws_masks(self) -> bool:
        return any(network.draws_masks for network in self.networks)


def read_trained(path: Path) -> TrainedModel:
    """Raises InputError for what is no model, or whose members know different classes."""
    networks: list[TrainedNetwork] = []
    node = _node(path, networks)
    if different := [each for each in networks if each.facts.class_names != networks[0].facts.class_names]:
        raise InputError(
            f"the members of {path} know different classes: {', '.join(networks[0].facts.class_names)} and "
            f"{', '.join(different[0].facts.class_names)}"
        )
    if not Evidence.is_at(path):
        rules = read_rules(networks[0].run.rules_file)
        return TrainedModel(path, "run", networks[0].config.name, node, tuple(networks), rules)
    evidence = Evidence.find(path)
    about, rules = evidence.about(), read_rules(evidence.rules_file)
    return TrainedModel(path, about.kind, about.name, node, tuple(networks), rules)


def model_name(path: Path) -> str:
    """The experiment's name, or the blend's."""
    if Evidence.is_at(path):
        return Evidence.find(path).about().name
    return load_config(find_run(path)[0].config_file).name


def _node(path: Path, networks: list[TrainedNetwork]) -> NodeRecord:
    if not Evidence.is_at(path):
        run, checkpoint = find_run(path)
        facts = DatasetFacts.read(run.dataset_file)
        networks.append(TrainedNetwork(run, checkpoint or run.best(), load_config(run.config_file), facts))
        return NodeRecord(network=len(networks) - 1)
    members, blend = evidence_members(Evidence.find(path))
    values = BlendValues(kind=blend.kind, weights=blend.weights, power=blend.power, ranks=blend.ranks)
    return NodeRecord(members=tuple(_node(member, networks) for member in members), blend=values)
