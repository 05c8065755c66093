"""What normal images look like to a network, put into its bundle: the encoder's graph, the numbers, and the proof."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sever.data.reader import ImageReader
from sever.data.table import ImageTable
from sever.decide.familiarity import Normality
from sever.deliver.runtime.backends import BACKENDS
from sever.errors import InputError
from sever.models.features import TorchFeatures
from sever.models.graph import features_graph
from sever.models.network import PixelNetwork
from sever.pipeline.export.trained import TrainedNetwork
from sever.pipeline.inference.familiar import Features, Sight
from sever.progress import info
from sever.store import fingerprint
from sever.store.bundle.manifest import NormalityRecord
from sever.store.bundle.normality import normality_part
from sever.store.normality import read_normality

PROOF_IMAGES = 16
# Of an image's distance: beyond it two libraries see different features, and not the same ones rounded differently.
MOST_DIFFERENCE = 1e-3


def write_bundled_normality(
    network: TrainedNetwork, built: PixelNetwork, images: ImageTable, folder: Path, place: str, backends: Sequence[str]
) -> NormalityRecord | None:
    """Write both parts below `folder`/`place`; None, and nothing written, where the run has not learnt what is normal,
    or a runtime sees other features than torch does."""
    normality = read_normality(network.run.folder, fingerprint(network.checkpoint))
    if normality is None:
        return None
    try:
        graph = features_graph(built)
        found = _differences(network, built, normality, graph, images, backends)
    except InputError as error:
        info(f"{network.config.name}: familiarity is left out: {error}")
        return None
    (folder / place / "features.onnx").write_bytes(graph)
    (folder / place / "normality.bin").write_bytes(normality_part(normality))
    return NormalityRecord(
        graph=f"{place}/features.onnx",
        part=f"{place}/normality.bin",
        features=len(normality.mean_f),
        directions=len(normality.deviations_k),
        held_out=len(normality.distances_v),
        max_difference=max(found),
        images=min(PROOF_IMAGES, len(images)),
    )


def _differences(
    network: TrainedNetwork,
    built: PixelNetwork,
    normality: Normality,
    graph: bytes,
    images: ImageTable,
    backends: Sequence[str],
) -> list[float]:
    """The largest difference of a familiarity, by library. Raises InputError for one that sees something else."""
    read, multiple = ImageReader.of(network.config.data, network.facts.channels), built.size_multiple
    pixels = [read(images.path(row)) for row in range(min(PROOF_IMAGES, len(images)))]
    seen = Sight(TorchFeatures(built), network.facts.channels, multiple)(pixels)
    found = []
    for library, features in _libraries(graph, len(normality.mean_f), backends).items():
        own = Sight(features, network.facts.channels, multiple)(pixels)
        expected_n, distances_n = normality.distances(seen), normality.distances(own)
        if not np.allclose(expected_n, distances_n, rtol=MOST_DIFFERENCE, atol=0):
            raise InputError(f"{library} sees other features in the images than torch does")
        found.append(float(np.abs(normality.familiarity(seen) - normality.familiarity(own)).max()))
    return found


def _libraries(graph: bytes, count: int, backends: Sequence[str]) -> dict[str, Features]:
    """One of each library that the bundle can run in: precision makes no difference here."""
    by_library = {BACKENDS[name].library: BACKENDS[name] for name in backends if name in BACKENDS}
    return {library: backend.features(graph, count) for library, backend in by_library.items()}
