"""A bundle as an Inspector: each network's graph in a runtime, and around it what the manifest says; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from sever.data.images import to_grey
from sever.decide.ensemble import Blend
from sever.decide.inspector import Inspector
from sever.decide.prediction import Forward, Predict, Prediction
from sever.decide.rules import resolve_rules
from sever.decide.windows import Windows
from sever.deliver.runtime.backends import BACKENDS, Backend
from sever.errors import InputError
from sever.store.bundle.bundle import Bundle
from sever.store.bundle.manifest import BackendRecord, BundleRecord, NetworkRecord, NodeRecord
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


def inspector_of(
    bundle: Bundle, backend: str, flips: Sequence[str] | None = None, batch_size: int | None = None
) -> Inspector:
    """The bundle's networks in a backend, their blends and the rules. What is None stays as it was exported.

    Takes images of `manifest.channels`. Raises InputError where a graph can't be read.
    """
    manifest = bundle.manifest

    def changed(network: NetworkRecord) -> NetworkRecord:
        changes = {"flips": flips if flips is None else tuple(flips), "batch_size": batch_size}
        return network.model_copy(update={name: value for name, value in changes.items() if value is not None})

    predicts = [network_predict(bundle, changed(network), BACKENDS[backend]) for network in manifest.networks]
    return node_inspector(manifest, predicts)


def node_inspector(manifest: BundleRecord, predicts: Sequence[Predict]) -> Inspector:
    """The whole model, of what predicts for each of its networks."""
    rules = resolve_rules(manifest.rules, len(manifest.class_names))
    shaped = [
        partial(_in_channels, predict, network.channels)
        for network, predict in zip(manifest.networks, predicts, strict=True)
    ]

    def of(node: NodeRecord) -> Inspector:
        if node.blend is None:
            assert node.network is not None
            return Inspector((shaped[node.network],), rules)
        return Inspector(tuple(of(member).see for member in node.members), rules, blend_of(node.blend))

    return of(manifest.model)


def network_predict(bundle: Bundle, network: NetworkRecord, backend: Backend) -> Predict:
    """One network in a backend, with its tiles, padding and flips."""
    name = _graph(network, backend)
    assert name is not None
    weights = bundle.read(f"{name.removesuffix('.xml')}.bin") if name.endswith(".xml") else None
    forward = backend.forward(bundle.read(name), weights, len(bundle.manifest.class_names))
    return predict_by(network, forward)


def predict_by(network: NetworkRecord, forward: Forward) -> Predict:
    windows = Windows(
        network.tile, network.tile_overlap, network.size_multiple, tuple(network.flips), network.batch_size
    )
    return partial(windows.predict, forward=forward)


def blend_of(values: BlendValues) -> Blend:
    return Blend(values.kind, values.weights, values.power, values.ranks)


def _in_channels(predict: Predict, channels: int, images: Sequence[np.ndarray]) -> list[Prediction]:
    return predict([to_grey(image) if image.shape[2] != channels else image for image in images])


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
