"""`sever export`: graphs, int8, the proof on real images, and one file, or nothing at all where no backend holds."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sever.data.reader import ImageReader
from sever.data.table import ImageTable
from sever.decide.bootstrap import group_numbers
from sever.deliver.runtime.backends import BACKENDS
from sever.errors import InputError
from sever.files import write_text
from sever.locks import writes_to
from sever.models.graph import onnx_graph
from sever.output import OutputFolder
from sever.pipeline.evidence import open_evidence
from sever.pipeline.export.card import model_card
from sever.pipeline.export.certificate import Comparison, Contender, compare, decide_by
from sever.pipeline.export.describe import SAMPLE_IMAGES, evidence_scores, manifest_of, scores_of, statistics_of
from sever.pipeline.export.images import LabelledImages, proof_images, training_images
from sever.pipeline.export.int8 import quantised
from sever.pipeline.export.normality import write_bundled_normality
from sever.pipeline.export.rule_evidence import rule_evidence, trained_on
from sever.pipeline.export.stage import stage_model
from sever.pipeline.export.trained import TrainedModel, read_trained
from sever.pipeline.inference.bundled import TORCH, bundle_model
from sever.pipeline.inference.load import load_model
from sever.pipeline.inference.options import InferenceOptions
from sever.progress import info
from sever.store import Evidence
from sever.store.bundle.bundle import CARD, SETTINGS, TRAINED_ON, Bundle, write_bundle
from sever.store.bundle.container import MANIFEST
from sever.store.bundle.manifest import BundleRecord, NetworkRecord, ScoresRecord, StatisticsRecord

REFERENCE = "torch in full precision"
INT8 = "openvino-int8"


@dataclass(frozen=True)
class ExportOptions:
    """What to put into the file, and how to prove it.

    data: labelled images for the proof, instead of those that the model held out. images: how many at most.
    calibration: training images that int8's ranges come from. backends: those to offer; torch with its weights as well.
    """

    data: Path | None = None
    images: int = 100
    calibration: int = 64
    backends: tuple[str, ...] = (*BACKENDS, TORCH)
    licence: str = "not stated"

    def __post_init__(self) -> None:
        unknown = [name for name in self.backends if name not in (*BACKENDS, TORCH)]
        if unknown:
            raise InputError(f"unknown backend {', '.join(unknown)}; there are {', '.join((*BACKENDS, TORCH))}")
        if not set(self.backends) & set(BACKENDS):
            raise InputError(f"give at least one backend of {', '.join(BACKENDS)}")


@writes_to("output", whole=True)
def export_model(path: Path, output: Path, options: ExportOptions) -> BundleRecord:
    """Write the bundle of a run, a checkpoint, a cross-validation or a blend; returns its manifest.

    Raises InputError, and writes nothing, where no backend answers as torch does.
    """
    home = OutputFolder(output.parent)
    home.claim([output.name])
    _raise_unless_installed(options.backends)
    trained = read_trained(path)
    images = proof_images(trained, options.data).sample(options.images)
    with tempfile.TemporaryDirectory(prefix="sever-export-") as temporary:
        folder = Path(temporary)
        manifest = _lay_out(trained, folder, options, images.table)
        manifest, comparison = _prove(trained, Bundle.open(folder), images, options)
        manifest = manifest.model_copy(update={"scores": _scores(trained, images, comparison)})
        write_text(folder / CARD, model_card(manifest))
        with home.new(output.name) as file:
            write_bundle(file, manifest, _parts(folder, manifest))
    return manifest


def _raise_unless_installed(backends: Sequence[str]) -> None:
    faults = [fault for name in backends if name in BACKENDS and (fault := BACKENDS[name].fault())]
    if faults:
        raise InputError(f"{faults[0]}; for all that exporting needs: pip install 'sever[export]'")


def _lay_out(trained: TrainedModel, folder: Path, options: ExportOptions, images: ImageTable) -> BundleRecord:
    """All parts as files, and the manifest, before anything is proved."""
    start = stage_model(trained.path, folder / TORCH) if TORCH in options.backends else None
    write_text(folder / SETTINGS, trained.first.settings_text())
    able = _has_training_images(trained)
    networks = [_network(trained, at, folder, options, able, images) for at in range(len(trained.networks))]
    manifest = manifest_of(trained, networks, start, options.licence)
    manifest = manifest.model_copy(update={"statistics": _statistics(trained) if able else None})
    if able:
        manifest = manifest.model_copy(update={"rule_evidence": rule_evidence(trained)})
        write_text(folder / TRAINED_ON, trained_on(trained))
    write_bundle(folder / "unproved", manifest, _parts(folder, manifest))
    whole = Bundle.open(folder / "unproved").manifest
    (folder / "unproved").unlink()
    whole.write(folder / MANIFEST)
    return whole


def _network(
    trained: TrainedModel, at: int, folder: Path, options: ExportOptions, able: bool, images: ImageTable
) -> NetworkRecord:
    network = trained.networks[at]
    built = network.build()
    record = network.record(built.size_multiple)
    info(f"network {at + 1} of {len(trained.networks)}, {record.name}: writing its graph")
    graph = onnx_graph(built, network.config.loss.name, network.draws_masks, network.labels_images)
    place = folder / "networks" / str(at)
    place.mkdir(parents=True)
    (place / "network.onnx").write_bytes(graph)
    graphs = {"onnx": f"networks/{at}/network.onnx"}
    if INT8 in options.backends and able:
        info(f"network {at + 1} of {len(trained.networks)}, {record.name}: int8, on its training images")
        made = quantised(trained, network, record, graph, options.calibration)
        if made is not None:
            (place / "int8.xml").write_bytes(made.graph)
            (place / "int8.bin").write_bytes(made.weights)
            graphs[INT8] = f"networks/{at}/int8.xml"
    normality = write_bundled_normality(network, built, images, folder, f"networks/{at}", options.backends)
    return record.model_copy(update={"graphs": graphs, "normality": normality})


def _prove(
    trained: TrainedModel, bundle: Bundle, images: LabelledImages, options: ExportOptions
) -> tuple[BundleRecord, Comparison]:
    """Hold every backend against torch. Raises InputError where none is left."""
    reference = load_model(trained.path, InferenceOptions(precision="no")).network.predict
    decide = decide_by(trained.rules, len(trained.class_names), trained.draws_masks)
    contenders = _contenders(trained, bundle, options)
    read = ImageReader(bundle.manifest.channels, bundle.manifest.significant_bits, bundle.manifest.max_pixels)
    comparison = compare(reference, decide, contenders, images.table, read, trained.draws_masks, images.of, REFERENCE)
    certificate = comparison.certificate
    left = [each.backend for each in certificate.backends if each.taken and each.backend != TORCH]
    for each in certificate.backends:
        if not each.taken:
            info(f"{each.backend} is left out: {each.why}")
    if not left:
        why = "; ".join(f"{each.backend}: {each.why}" for each in certificate.backends if each.backend != TORCH)
        raise InputError(f"no backend answers as the trained model does, so nothing was written. {why}")
    return _without_refused(bundle.manifest, left).model_copy(update={"certificate": certificate}), comparison


def _contenders(trained: TrainedModel, bundle: Bundle, options: ExportOptions) -> dict[str, Contender]:
    has_int8 = any(INT8 in network.graphs for network in bundle.manifest.networks)
    found = {
        name: Contender(bundle_model(bundle, name).network.predict, BACKENDS[name].version(), BACKENDS[name].is_full)
        for name in options.backends
        if name in BACKENDS and (name != INT8 or has_int8)
    }
    if TORCH in options.backends:
        loaded = load_model(trained.path, InferenceOptions())
        precision = loaded.config.train.precision
        found[TORCH] = Contender(loaded.network.predict, f"torch {_torch_version()}, {precision}", precision == "no")
    return found


def _torch_version() -> str:
    import torch

    return str(torch.__version__).partition("+")[0]


def _without_refused(manifest: BundleRecord, left: Sequence[str]) -> BundleRecord:
    """Without the graphs that only refused backends read; int8's network that stays in bf16 reads the plain one."""
    networks = [
        network.model_copy(
            update={"graphs": {kind: part for kind, part in network.graphs.items() if kind != INT8 or INT8 in left}}
        )
        for network in manifest.networks
    ]
    return manifest.model_copy(update={"networks": tuple(networks)})


def _parts(folder: Path, manifest: BundleRecord) -> dict[str, bytes | Path]:
    """The files that the manifest speaks of, and the card."""
    wanted = {*(part for network in manifest.networks for part in network.parts), CARD, SETTINGS, TRAINED_ON}
    names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    return {name: folder / name for name in names if name in wanted or name.startswith(f"{TORCH}/")}


def _has_training_images(trained: TrainedModel) -> bool:
    try:
        training_images(trained.first)
    except InputError as error:
        info(f"the training images are not there, so there will be no int8 and no statistics: {error}")
        return False
    return True


def _statistics(trained: TrainedModel) -> StatisticsRecord:
    table: ImageTable = (
        training_images(trained.first)
        if trained.kind == "run"
        else open_evidence(Evidence.find(trained.path).folder).table
    )
    read = ImageReader.of(trained.first.config.data, 1)
    rows = np.linspace(0, len(table) - 1, min(len(table), SAMPLE_IMAGES)).astype(int)
    return statistics_of(table, [float(read(table.path(int(row))).mean()) for row in rows])


def _scores(trained: TrainedModel, images: LabelledImages, comparison: Comparison) -> ScoresRecord | None:
    """Out of fold, where the evidence has them; else those of the proof's images."""
    if trained.kind != "run":
        evidence = Evidence.find(trained.path)
        if evidence.pairs_file.is_file():
            return evidence_scores(evidence)
    if comparison.dice_nc is None or not trained.draws_masks or len(comparison.dice_nc) < 2:
        return None
    groups = images.table.frame["group"].to_numpy() if "group" in images.table.frame else None
    if len(set(group_numbers(groups, len(images.table)))) < 2:
        info(f"the {images.of} are all of one group, so the file holds no score: nothing can be said of others")
        return None
    empty = float((~images.table.has_class()).mean())
    return scores_of(images.of, comparison.dice_nc, empty, groups)
