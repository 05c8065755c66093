"""How familiar images are to the networks of a bundle: graphs of features in a runtime, loaded when first asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sever.deliver.runtime.backends import BACKENDS
from sever.pipeline.inference.familiar import Familiar, Familiarity, Sight, mean_familiarity
from sever.store.bundle.bundle import Bundle
from sever.store.bundle.manifest import NetworkRecord, NodeRecord, NormalityRecord
from sever.store.bundle.normality import read_normality_part


@dataclass(frozen=True)
class BundledFamiliar:
    """Of one network. Its graph is read when the first image is rated: most users never ask."""

    bundle: Bundle
    network: NetworkRecord
    record: NormalityRecord
    backend: str

    def __call__(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """(N,) in 0..1, as `Familiar`. Raises InputError for a damaged part."""
        return self._loaded(images)

    @cached_property
    def _loaded(self) -> Familiar:
        graph, numbers = self.bundle.read(self.record.graph), self.bundle.read(self.record.part)
        features = BACKENDS[self.backend].features(graph, self.record.features)
        sight = Sight(features, self.network.channels, self.network.size_multiple)
        return Familiar(sight, read_normality_part(numbers, self.record))


def familiarity_of(bundle: Bundle, node: NodeRecord, backend: str) -> Familiarity | None:
    """Of the node's network, or the mean of its members'; None unless all know what is normal."""
    if node.network is None:
        return mean_familiarity([familiarity_of(bundle, member, backend) for member in node.members])
    network = bundle.manifest.networks[node.network]
    if network.normality is None:
        return None
    return BundledFamiliar(bundle, network, network.normality, backend)
