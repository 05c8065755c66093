"""The one way from images to masks: a run, a cross-validation or a blend becomes an Inspector; images flow through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sever.config import ExperimentConfig, RuleSettings, load_config
from sever.data.dataset import Channels
from sever.data.images import to_grey
from sever.data.reader import ImageReader
from sever.data.table import ImageTable
from sever.decide.ensemble import Blend
from sever.decide.inspector import Inspection, Inspector
from sever.decide.prediction import Predict, Prediction
from sever.decide.rules import resolve_rules
from sever.decide.windows import Windows
from sever.errors import InputError
from sever.models.checkpoint import load_weights
from sever.models.classifier import build_classifier
from sever.models.device import pick_device
from sever.models.forward import TorchForward
from sever.models.losses import num_outputs, probabilities
from sever.models.network import PixelNetwork
from sever.models.segmenter import build_segmenter
from sever.pipeline.inference.options import InferenceOptions
from sever.pipeline.pixel_warnings import warn_of_clipping
from sever.pipeline.progress import detail
from sever.pipeline.streams import chunks, read_ahead
from sever.store import Evidence, Run, find_run, fingerprint, read_rules
from sever.store.bundle.unpacked import torch_path
from sever.store.checkpoints import load_weights_file
from sever.store.origin import digest_of
from sever.store.records import DatasetRecord

# Raised when the same weights, settings and image file give another map than before, so that old ones are made anew.
WAY_TO_A_MAP = 1


@dataclass(frozen=True)
class DatasetFacts:
    """What a run learned from its training images, and every later stage must share with it."""

    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def channels(self) -> Channels:
        return 3 if len(self.mean) == 3 else 1

    @staticmethod
    def read(path: Path) -> DatasetFacts:
        """Raises InputError for a damaged file."""
        record = DatasetRecord.read(path)
        return DatasetFacts(record.class_names, record.mean, record.std)

    def write(self, path: Path) -> None:
        DatasetRecord(class_names=self.class_names, mean=self.mean, std=self.std).write(path)


@dataclass(frozen=True)
class LoadedModel:
    """One trained network, or several as one, ready to inspect; `config` and `facts` are those of the first.

    `draws_masks`: classifiers alone don't. `labels_images`: one of them is a classifier or has a label head.
    """

    folder: Path
    checkpoints: tuple[Path, ...]
    config: ExperimentConfig
    facts: DatasetFacts
    inspector: Inspector
    draws_masks: bool = True
    labels_images: bool = False
    # Digest of the weights and of all settings that what the networks say depends on; rules are applied afterwards.
    identity: str = ""


def load_model(path: Path, how: InferenceOptions) -> LoadedModel:
    """Build the Inspector of a run (its best checkpoint), of one checkpoint, of a cross-validation or of a blend.

    The folds of a cross-validation answer as one, by their mean. Raises InputError for what can't be read or computed
    here.
    """
    path = torch_path(path)
    if not Evidence.is_at(path):
        return _load_run(path, how)
    evidence = Evidence.find(path)
    members, blend = how.effort.keep(*evidence_members(evidence))
    loaded = [load_model(member, how) for member in members]
    _raise_unless_alike(evidence, loaded)
    channels: Channels = max(member.facts.channels for member in loaded)
    first = loaded[0]
    predictors = tuple(_as_one(member.inspector, member.facts.channels, channels) for member in loaded)
    settings = read_rules(evidence.rules_file)
    rules = resolve_rules(settings, first.facts.num_classes)
    checkpoints = tuple(checkpoint for member in loaded for checkpoint in member.checkpoints)
    facts = next(member.facts for member in loaded if member.facts.channels == channels)
    return LoadedModel(
        evidence.folder,
        checkpoints,
        first.config,
        facts,
        Inspector(predictors, rules, blend),
        draws_masks=any(member.draws_masks for member in loaded),
        labels_images=any(member.labels_images for member in loaded),
        identity=digest_of([blend.as_dict(), *(member.identity for member in loaded)]),
    )


def evidence_members(evidence: Evidence) -> tuple[list[Path], Blend]:
    """What a folder of evidence is made of: the last checkpoints of its folds, or a blend's members."""
    about = evidence.about()
    if about.is_blend:
        if about.blend is None:
            raise InputError(f"{evidence.about_file} is damaged: it lacks `blend`; {about.what_to_do}")
        # The tables of ranks are long, so they stand in a file of their own.
        values = evidence.blend_record().blend if about.blend.kind == "rank" else about.blend
        if values is None:
            raise InputError(f"{evidence.blend_file} lacks `blend`; type the `sever blend` that made it again")
        return evidence.members(), Blend(values.kind, values.weights, values.power, values.ranks)
    return [fold_checkpoint(evidence, fold) for fold in about.folds], Blend()


def fold_checkpoint(evidence: Evidence, fold: int) -> Path:
    """The last checkpoint of a fold's run: the best one was chosen by the very images that it would be judged by."""
    checkpoint = Run(evidence.fold_folder(fold)).latest()
    if checkpoint is None:
        raise InputError(f"fold {fold} of {evidence.folder} has no checkpoint; run its `sever crossval` again")
    return checkpoint


def _load_run(path: Path, how: InferenceOptions) -> LoadedModel:
    run, checkpoint = find_run(path)
    config = load_config(run.config_file, how.overrides())
    facts = DatasetFacts.read(run.dataset_file)
    config = config.model_copy(
        update={"predict": config.predict.model_copy(update={"flips": how.effort.flips(config.predict.flips)})}
    )
    checkpoint = checkpoint or run.best()
    network = new_network(config, facts, pretrained=False)
    load_weights(network, load_weights_file(checkpoint))
    target = pick_device(how.device, config.train.precision)
    detail(f"{checkpoint}: {config.model.architecture}, {config.model.encoder}, on {target}, {config.train.precision}")
    rules = read_rules(run.rules_file)
    inspector = make_inspector(network.to(target), network.size_multiple, config, facts, rules, target)
    draws_masks = config.model.task == "segment"
    labels_images = not draws_masks or config.model.label_head
    identity = _identity(config, facts, checkpoint)
    return LoadedModel(run.folder, (checkpoint,), config, facts, inspector, draws_masks, labels_images, identity)


def identity_of_run(path: Path) -> str:
    """The identity that `load_model` would give a run or checkpoint, without building its network."""
    run, checkpoint = find_run(path)
    return _identity(load_config(run.config_file), DatasetFacts.read(run.dataset_file), checkpoint or run.best())


def _identity(config: ExperimentConfig, facts: DatasetFacts, checkpoint: Path) -> str:
    """Of one network: its weights, which hold the normalisation too, and how images go in and answers come out."""
    return digest_of(
        {
            "way": WAY_TO_A_MAP,
            "weights": fingerprint(checkpoint),
            "model": config.model.model_dump(mode="json", exclude={"weights"}),
            "loss": config.loss.name,
            "classes": facts.num_classes,
            "channels": facts.channels,
            "significant_bits": config.data.significant_bits,
            "precision": config.train.precision,
            "predict": config.predict.model_dump(mode="json", exclude={"batch_size"}),
        }
    )


def _raise_unless_alike(evidence: Evidence, loaded: Sequence[LoadedModel]) -> None:
    names = {member.facts.class_names: member.folder for member in loaded}
    if len(names) > 1:
        (first, here), (second, there) = list(names.items())[:2]
        raise InputError(
            f"the members of {evidence.folder} know different classes: {here} has {', '.join(first)}, "
            f"{there} has {', '.join(second)}"
        )


def _as_one(inspector: Inspector, own: Channels, given: Channels) -> Predict:
    """A member as a single network that takes images with `given` channels."""

    def predict(images: Sequence[np.ndarray]) -> list[Prediction]:
        return inspector.see(images if own == given else [to_grey(image_hwc) for image_hwc in images])

    return predict


def new_network(config: ExperimentConfig, facts: DatasetFacts, pretrained: bool) -> PixelNetwork:
    """The segmenter or classifier of a configuration. Raises InputError where it can't be built."""
    if config.model.task == "classify":
        return build_classifier(config.model, facts.num_classes, facts.mean, facts.std, pretrained)
    outputs = num_outputs(config.loss.name, facts.num_classes)
    labels = facts.num_classes if config.model.label_head else 0
    return build_segmenter(config.model, outputs, facts.mean, facts.std, pretrained, labels)


def make_inspector(
    network: nn.Module,
    size_multiple: int,
    config: ExperimentConfig,
    facts: DatasetFacts,
    rules: RuleSettings,
    device: torch.device,
) -> Inspector:
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

    def predict(images: Sequence[np.ndarray]) -> list[Prediction]:
        return windows.predict(images, forward)

    return Inspector((predict,), resolve_rules(rules, facts.num_classes))


def image_reader(config: ExperimentConfig, facts: DatasetFacts) -> ImageReader:
    """Reads an image as this network wants it: (H, W, channels) uint8."""
    return ImageReader.of(config.data, facts.channels)


@dataclass(frozen=True)
class Inspected:
    """One row of a table of images, seen."""

    row: int
    image_hwc: np.ndarray
    inspection: Inspection


def inspect_table(inspector: Inspector, table: ImageTable, read: ImageReader, batch_size: int) -> Iterator[Inspected]:
    """Every image of the table, in its order; at most three batches are in memory."""
    yield from inspect_part(inspector, table, read, batch_size)
    warn_of_clipping(read)


def inspect_part(inspector: Inspector, table: ImageTable, read: ImageReader, batch_size: int) -> Iterator[Inspected]:
    """As `inspect_table`, for a part of the images, after which more will be read."""
    for batch in _batches(table, read, batch_size):
        inspections = inspector.inspect([image for _, image in batch])
        for (row, image), inspection in zip(batch, inspections, strict=True):
            yield Inspected(row, image, inspection)


def label_table(
    inspector: Inspector, table: ImageTable, read: ImageReader, batch_size: int
) -> Iterator[tuple[int, np.ndarray]]:
    """(row, label probabilities (C,) float32) of every image, in order, from what labels images; draws no masks."""
    for batch in _batches(table, read, batch_size):
        for (row, _), seen in zip(batch, inspector.see([image for _, image in batch]), strict=True):
            assert seen.label_probs_c is not None, "no classifier and no label head among the networks"
            yield row, seen.label_probs_c
    warn_of_clipping(read)


def _batches(table: ImageTable, read: ImageReader, batch_size: int) -> Iterator[list[tuple[int, np.ndarray]]]:
    images = read_ahead(lambda row: read(table.path(row)), range(len(table)), depth=2 * batch_size)
    return chunks(enumerate(images), batch_size)
