"""A bundle as a tree of networks: each network's graph in a runtime, and around it what the manifest says; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sever.decide.ensemble import Blend
from sever.decide.prediction import Forward, Predict
from sever.decide.windows import Windows
from sever.deliver.runtime.backends import BACKENDS, Backend
from sever.errors import InputError
from sever.pipeline.inference.network import AnyNetwork, Ensemble, Network
from sever.store.bundle.bundle import Bundle
from sever.store.bundle.manifest import BackendRecord, BundleRecord, NetworkRecord, NodeRecord
from sever.store.origin import digest_of
from sever.store.records import BlendValues

TORCH = "torch"


def choose_backend(bundle: Bundle, wanted: str | None = None, with_torch: bool = False) -> str:
    """The backend to run in: the one that is wanted, else the quickest of full precision that is here, else torch.

    `with_torch`: whether torch is here. Raises InputError where there is none, or the wanted one can't run.
    """
    faults = {name: fault_of(bundle, name, with_torch) for name in (*BACKENDS, TORCH)}
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
    return min(able, key=lambda name: (_rank(name), -_speed(bundle.manifest, name)))


def fault_of(bundle: Bundle, name: str, with_torch: bool) -> str | None:
    """Why the bundle can't run in a backend here; None where it can."""
    manifest = bundle.manifest
    if name == TORCH:
        if manifest.torch is None:
            return "it holds no weights for torch"
        return None if with_torch else "torch is not installed here: pip install 'sever[train]'"
    backend = BACKENDS[name]
    has = [backend.graph in network.graphs for network in manifest.networks]
    if not any(has) or (backend.graph == "onnx" and not all(has)):
        return "it holds no such graph; `sever export` makes it"
    stated = _stated(manifest, name)
    if stated is None or not stated.taken:
        return stated.why if stated else "it was not compared with torch at export"
    return backend.fault()


def network_of(
    bundle: Bundle, backend: str, flips: Sequence[str] | None = None, batch_size: int | None = None
) -> AnyNetwork:
    """The bundle's networks in a backend, and their blends. What is None stays as it was exported.

    Takes images of `manifest.channels`. Raises InputError where a graph can't be read.
    """
    changes = {"flips": flips if flips is None else tuple(flips), "batch_size": batch_size}
    changes = {name: value for name, value in changes.items() if value is not None}
    networks = [
        as_network(network.model_copy(update=changes), forward_of(bundle, network, BACKENDS[backend]), str(at))
        for at, network in enumerate(bundle.manifest.networks)
    ]
    return _node(bundle.manifest.model, networks, "0")


def _node(node: NodeRecord, networks: Sequence[Network], path: str) -> AnyNetwork:
    """A node of the tree of networks; members are named by their places."""
    if node.blend is None:
        assert node.network is not None
        return networks[node.network]
    members = (_node(member, networks, f"{path}.{at}") for at, member in enumerate(node.members))
    return Ensemble(tuple(members), blend_of(node.blend), Path(f"blend-{path}"))


def forward_of(bundle: Bundle, network: NetworkRecord, backend: Backend) -> Forward:
    """One network's graph in a backend."""
    name = _graph(network, backend)
    assert name is not None
    weights = bundle.read(f"{name.removesuffix('.xml')}.bin") if name.endswith(".xml") else None
    return backend.forward(bundle.read(name), weights, len(bundle.manifest.class_names))


def as_network(network: NetworkRecord, forward: Forward, name: str = "") -> Network:
    """A graph that is loaded, with its tiles, padding and flips."""
    windows = Windows(
        network.tile, network.tile_overlap, network.size_multiple, tuple(network.flips), network.batch_size
    )
    identity = digest_of(network.model_dump(mode="json", exclude={"graphs", "batch_size"}))
    return Network(forward, windows, network.channels, network.draws_masks, network.labels_images, Path(name), identity)


def predict_by(network: NetworkRecord, forward: Forward) -> Predict:
    return as_network(network, forward).predict


def blend_of(values: BlendValues) -> Blend:
    return Blend(values.kind, values.weights, values.power, values.ranks)


def _graph(network: NetworkRecord, backend: Backend) -> str | None:
    """The graph's part; a network that int8 does not suit stays in bf16."""
    return network.graphs.get(backend.graph) or network.graphs.get("onnx")


def _rank(name: str) -> int:
    return 1 if name == TORCH else 0 if BACKENDS[name].is_full else 2


def _speed(manifest: BundleRecord, name: str) -> float:
    stated = _stated(manifest, name)
    return stated.images_per_second if stated else 0.0


def _stated(manifest: BundleRecord, name: str) -> BackendRecord | None:
    """What the certificate says of a backend."""
    return manifest.certificate.of_backend(name) if manifest.certificate else None
