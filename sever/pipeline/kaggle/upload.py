"""`sever upload`: a run's checkpoints, an ensemble, or the wheel of sever itself, as a data set on Kaggle."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sever import __version__
from sever.config import KaggleSettings
from sever.counted import counted
from sever.deliver.kaggle.client import Kaggle, sign_in
from sever.deliver.kaggle.patience import Patience
from sever.deliver.kaggle.upload import LONGEST_NAME, DatasetPage, Published, publish, slug_of, wait_until_ready
from sever.deliver.kaggle.wheels import SOURCE, build_wheels
from sever.files import write_json
from sever.pipeline.export.pack import BUNDLE, pack_model
from sever.pipeline.export.trained import model_name
from sever.progress import info, meter
from sever.store.bundle.manifest import BundleRecord

WHEELS_TITLE, WHEELS_LICENCE = "sever wheels", "apache-2.0"


@dataclass(frozen=True)
class Names:
    """How an upload is to be called; what is None is made from what is uploaded."""

    title: str | None = None
    slug: str | None = None
    notes: str | None = None


def upload_model(
    path: Path,
    epochs: Sequence[int],
    settings: KaggleSettings,
    names: Names,
    wait_minutes: float,
    patience: Patience | None = None,
) -> Published:
    """Upload what predicting with a run, a checkpoint, a cross-validation or a blend needs. Raises InputError."""
    title = names.title or model_title(path)
    with tempfile.TemporaryDirectory(prefix="sever-upload-") as temporary:
        manifest = pack_model(path, Path(temporary) / BUNDLE, epochs, settings.licence)
        with sign_in(patience) as kaggle:
            page = _page(kaggle, settings, names, title, settings.licence, _notes(manifest))
            return _publish(kaggle, Path(temporary), page, wait_minutes)


def upload_wheels(
    settings: KaggleSettings,
    names: Names,
    wait_minutes: float,
    source: Path | None = None,
    with_dependencies: bool = False,
    python: str | None = None,
    patience: Patience | None = None,
) -> Published:
    """Upload the wheel of sever, on request with those of what it needs. Raises InputError."""
    with tempfile.TemporaryDirectory(prefix="sever-upload-") as temporary:
        folder = Path(temporary)
        info("building the wheel")
        python = python or settings.python
        wheel = build_wheels(folder, source or SOURCE, with_dependencies, python)
        about = {
            "format": 1,
            "kind": "wheels",
            "sever": __version__,
            "python": python if with_dependencies else None,
            "files": sorted(file.name for file in folder.iterdir()),
        }
        write_json(folder / "wheels.json", about)
        with sign_in(patience) as kaggle:
            page = _page(kaggle, settings, names, names.title or WHEELS_TITLE, WHEELS_LICENCE, wheel.name)
            return _publish(kaggle, folder, page, wait_minutes)


def model_title(path: Path) -> str:
    """The title under which a model goes when none is given."""
    return f"sever {model_name(path)}"[:LONGEST_NAME].rstrip(" -_.")


def _page(kaggle: Kaggle, settings: KaggleSettings, names: Names, title: str, licence: str, notes: str) -> DatasetPage:
    return DatasetPage(
        settings.owner or kaggle.owner,
        names.slug or slug_of(title),
        title,
        licence,
        settings.public,
        names.notes or notes,
    )


def _publish(kaggle: Kaggle, folder: Path, page: DatasetPage, wait_minutes: float) -> Published:
    published = publish(kaggle, folder, page, meter)
    if wait_minutes and not wait_until_ready(kaggle, page.ref, 60 * wait_minutes, info):
        info(f"data set {page.ref} is not ready yet; Kaggle is still processing it")
    return published


def _notes(manifest: BundleRecord) -> str:
    networks = counted(len(manifest.networks), "network")
    return f"{manifest.kind} {manifest.name}, {networks}, in {BUNDLE}; sever {manifest.sever}"
