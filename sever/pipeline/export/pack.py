"""A bundle of weights for torch alone, for a machine with a GPU such as a kernel of Kaggle; it proves nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sever.pipeline.export.card import model_card
from sever.pipeline.export.describe import manifest_of
from sever.pipeline.export.stage import stage_model
from sever.pipeline.export.trained import model_name, read_trained
from sever.store.bundle.bundle import CARD, SETTINGS, TORCH, write_bundle
from sever.store.bundle.manifest import BundleRecord

BUNDLE = "model.sever"


def pack_model(path: Path, file: Path, epochs: Sequence[int] = (), licence: str = "not stated") -> BundleRecord:
    """Write the bundle of what `path` means; returns its manifest. Raises InputError.

    `epochs` (from 1) choose checkpoints of a run; without, it is the one that `path` names, or the best.
    """
    with tempfile.TemporaryDirectory(prefix="sever-pack-") as temporary:
        folder = Path(temporary)
        start = stage_model(path, folder, epochs)
        trained = read_trained(folder / start)
        trained = replace(trained, name=model_name(path))
        networks = [network.record(network.build().size_multiple) for network in trained.networks]
        manifest = manifest_of(trained, networks, start, licence)
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        parts: dict[str, bytes | Path] = {f"{TORCH}/{each.relative_to(folder).as_posix()}": each for each in files}
        texts = {CARD: model_card(manifest), SETTINGS: trained.first.settings_text()}
        write_bundle(file, manifest, parts | {name: text.encode() for name, text in texts.items()})
    return manifest
