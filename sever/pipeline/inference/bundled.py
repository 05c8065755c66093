"""A bundle as a Model: each network's graph in a runtime, and around it what the manifest says; imports no torch."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from sever.config import ExperimentConfig, parse_config
from sever.config.overrides import with_overrides
from sever.decide.prediction import Forward, Predict
from sever.decide.rules import resolve_rules
from sever.decide.windows import Windows
from sever.deliver.runtime.backends import BACKENDS, Backend
from sever.errors import InputError
from sever.pipeline.inference.bundled_familiar import familiarity_of
from sever.pipeline.inference.facts import DatasetFacts
from sever.pipeline.inference.fastest import fastest
from sever.pipeline.inference.model import Model
from sever.pipeline.inference.network import AnyNetwork, Ensemble, Network
from sever.pipeline.inference.options import InferenceOptions
from sever.progress import detail
from sever.reading import parse_yaml
from sever.store.bundle.bundle import SETTINGS, Bundle
from sever.store.bundle.manifest import BackendRecord, BundleRecord, NetworkRecord, NodeRecord
from sever.store.bundle.unpacked import torch_path
from sever.store.origin import digest_of

TORCH = "torch"
# Each takes the memory of one image in the network; beyond that several cores share an image.
MOST_STREAMS = 16
# Where Linux shows the GPUs that torch would use.
_GPU = Path("/proc/driver/nvidia/gpus")


def load_bundle(path: Path, options: InferenceOptions) -> Model:
    """The model of a bundle, in the backend that the options name or that suits best. Raises InputError."""
    bundle = Bundle.open(path)
    measured = options.streams > 0 and may_measure(bundle, options)
    backend = fastest_here(bundle, options) if measured else choose_backend(bundle, options)
    detail(f"{path}: in {backend}")
    if backend != TORCH:
        return bundle_model(bundle, backend, options)
    from sever.pipeline.inference.load import load_model

    return load_model(torch_path(path), replace(options, backend=None))


def may_measure(bundle: Bundle, options: InferenceOptions) -> bool:
    """Whether nothing but speed is left to choose a backend by: none was named, and torch has no GPU."""
    is_for_gpu = find_spec("torch") is not None and _GPU.is_dir() and bundle.manifest.torch is not None
    return options.backend is None and not _is_for_torch(options) and not (is_for_gpu and options.device == "auto")


def fastest_here(bundle: Bundle, options: InferenceOptions) -> str:
    """The runtime in which the bundle is fastest on this machine, by a measurement that is made once."""
    able = [name for name in BACKENDS if fault_of(bundle, name) is None]
    if len(able) < 2:
        return choose_backend(bundle, options)
    versions = [BACKENDS[name].version() for name in able]
    return fastest(bundle, able, versions, lambda name: bundle_model(bundle, name, options).network)


def bundle_draws_masks(path: Path) -> bool:
    return Bundle.open(path).manifest.draws_masks


def choose_backend(bundle: Bundle, options: InferenceOptions) -> str:
    """The wanted backend; else torch on a GPU; else the quickest of full precision that is here; else torch, and the
    quickest of lower precision. Raises InputError where there is none, or the wanted one can't run."""
    faults = {name: fault_of(bundle, name) for name in (*BACKENDS, TORCH)}
    wanted = options.backend or (TORCH if _is_for_torch(options) else None)
    if wanted is not None:
        if wanted not in faults:
            raise InputError(f"unknown backend {wanted!r}; there are {', '.join(faults)}")
        if (fault := faults[wanted]) is not None:
            raise InputError(f"{bundle.place} can't run in {wanted}: {fault}")
        return wanted
    able = [name for name, fault in faults.items() if fault is None]
    if not able:
        why = "; ".join(f"{name}: {fault}" for name, fault in faults.items())
        raise InputError(f"{bundle.place} can't run here. {why}")
    if TORCH in able and _GPU.is_dir() and options.device == "auto":
        return TORCH
    return min(able, key=lambda name: (_rank(name), -_speed(bundle.manifest, name)))


def fault_of(bundle: Bundle, name: str) -> str | None:
    """Why the bundle can't run in a backend here; None where it can."""
    manifest = bundle.manifest
    if name == TORCH:
        if manifest.torch is None:
            return "it holds no weights for torch"
        return None if find_spec("torch") else "torch is not installed here: pip install 'sever[train]'"
    backend = BACKENDS[name]
    has = [backend.graph in network.graphs for network in manifest.networks]
    if not any(has) or (backend.graph == "onnx" and not all(has)):
        return "it holds no such graph; `sever export` makes it"
    stated = _stated(manifest, name)
    if stated is None or not stated.taken:
        return stated.why if stated else "it was not compared with torch at export"
    return backend.fault()


def bundle_model(bundle: Bundle, backend: str, options: InferenceOptions | None = None) -> Model:
    """The bundle in one backend, whether the certificate has it or not. Raises InputError for a graph that is none."""
    options = options or InferenceOptions()
    manifest = bundle.manifest
    config = _config(bundle, options)
    found = [_network(bundle, at, network, backend, options) for at, network in enumerate(manifest.networks)]
    rules = resolve_rules(manifest.rules, len(manifest.class_names))
    of_all = next(network for network in manifest.networks if network.channels == manifest.channels)
    facts = DatasetFacts(manifest.class_names, of_all.mean, of_all.std)
    familiar = familiarity_of(bundle, manifest.model, backend, min(options.streams, MOST_STREAMS) or None)
    return Model(bundle.place, _whole(manifest.model, found, Path("model")), rules, config, facts, familiar=familiar)


def windows_of(network: NetworkRecord) -> Windows:
    return Windows(network.tile, network.tile_overlap, network.size_multiple, network.flips, network.batch_size)


def predict_by(network: NetworkRecord, forward: Forward) -> Predict:
    """A network's tiles, padding and flips around any forward."""
    return partial(windows_of(network).predict, forward=forward)


def _network(bundle: Bundle, at: int, network: NetworkRecord, backend: str, options: InferenceOptions) -> Network:
    """One network in a backend, with its tiles, padding and flips."""
    changes = {"flips": options.flips, "batch_size": options.batch_size}
    record = network.model_copy(update={name: value for name, value in changes.items() if value is not None})
    said = record.model_dump(mode="json", exclude={"graphs", "batch_size", "name"})
    name = _graph(network, BACKENDS[backend])
    weights = bundle.read(f"{name.removesuffix('.xml')}.bin") if name.endswith(".xml") else None
    classes, streams = len(bundle.manifest.class_names), min(options.streams, MOST_STREAMS) or None
    limits = () if streams is None else (options.streams, streams)
    forward = BACKENDS[backend].forward(bundle.read(name), weights, classes, *limits)
    return Network(
        forward,
        windows_of(record),
        record.channels,
        record.draws_masks,
        record.labels_images,
        Path("networks") / str(at),
        digest_of({"backend": backend, "network": said, "significant_bits": bundle.manifest.significant_bits}),
        streams,
    )


def _whole(node: NodeRecord, networks: list[Network], path: Path) -> AnyNetwork:
    if node.blend is None:
        assert node.network is not None
        return networks[node.network]
    members = [_whole(member, networks, path / str(at)) for at, member in enumerate(node.members)]
    return Ensemble(tuple(members), node.blend.as_blend(), path)


def _config(bundle: Bundle, options: InferenceOptions) -> ExperimentConfig:
    """The settings of the first network, but for what the manifest says of the whole."""
    manifest = bundle.manifest
    values = parse_yaml(bundle.read(SETTINGS).decode("utf-8", "replace"), f"{bundle.place}, {SETTINGS}")
    if not isinstance(values, dict):
        raise InputError(f"{bundle.place}, {SETTINGS} holds no settings; export the model again")
    overrides = options.overrides() | {
        "data.significant_bits": manifest.significant_bits,
        "data.max_pixels": options.max_pixels or manifest.max_pixels,
    }
    return parse_config(with_overrides(values, overrides), f"{bundle.place}, {SETTINGS}")


def _graph(network: NetworkRecord, backend: Backend) -> str:
    """The graph's part; a network that int8 does not suit stays in bf16."""
    return network.graphs.get(backend.graph) or network.graphs["onnx"]


def _is_for_torch(options: InferenceOptions) -> bool:
    """Whether what is wanted is what only torch knows."""
    return options.precision is not None or options.device not in ("auto", "cpu")


def _rank(name: str) -> int:
    return 1 if name == TORCH else 0 if BACKENDS[name].is_full else 2


def _speed(manifest: BundleRecord, name: str) -> float:
    stated = _stated(manifest, name)
    return stated.images_per_second if stated else 0.0


def _stated(manifest: BundleRecord, name: str) -> BackendRecord | None:
    """What the certificate says of a backend."""
    return manifest.certificate.of_backend(name) if manifest.certificate else None
