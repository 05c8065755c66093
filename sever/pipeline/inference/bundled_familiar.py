"""How familiar images are to the networks of a bundle: graphs of features in a runtime, loaded when first asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock

import numpy as np

from sever.decide.familiarity import least_familiarity
from sever.deliver.runtime.backends import BACKENDS
from sever.pipeline.inference.familiar import Familiar, Familiarity, Sight, mean_familiarity
from sever.store.bundle.bundle import Bundle
from sever.store.bundle.manifest import NetworkRecord, NodeRecord, NormalityRecord
from sever.store.bundle.normality import read_normality_part
from sever.store.origin import digest_of


@dataclass(frozen=True)
class BundledFamiliar:
    """Of one network. Its graph is read when the first image is rated: most users never ask.

    `streams`: so many callers' threads ask at once, and each image is seen on one; None: one at a time, on all cores.
    """

    bundle: Bundle
    network: NetworkRecord
    record: NormalityRecord
    backend: str
    streams: int | None = None
    _loading: Lock = field(default_factory=Lock, repr=False, compare=False)

    def __call__(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """(N,) in 0..1, as `Familiar`. Raises InputError for a damaged part."""
        with self._loading:
            loaded = self._loaded
        return loaded(images)

    @property
    def identity(self) -> str:
        parts = self.bundle.manifest.parts
        said = [parts[self.record.graph].sha256, parts[self.record.part].sha256, self.network.channels]
        return digest_of([*said, self.network.size_multiple, BACKENDS[self.backend].library])

    @property
    def least(self) -> float:
        return least_familiarity(self.record.held_out)

    @cached_property
    def _loaded(self) -> Familiar:
        graph, numbers = self.bundle.read(self.record.graph), self.bundle.read(self.record.part)
        features = BACKENDS[self.backend].features(graph, self.record.features, self.streams)
        sight = Sight(features, self.network.channels, self.network.size_multiple)
        return Familiar(sight, read_normality_part(numbers, self.record))


def familiarity_of(bundle: Bundle, node: NodeRecord, backend: str, streams: int | None = None) -> Familiarity | None:
    """Of the node's network, or the mean of its members'; None unless all know what is normal."""
    if node.network is None:
        return mean_familiarity([familiarity_of(bundle, member, backend, streams) for member in node.members])
    network = bundle.manifest.networks[node.network]
    if network.normality is None:
        return None
    return BundledFamiliar(bundle, network, network.normality, backend, streams)
