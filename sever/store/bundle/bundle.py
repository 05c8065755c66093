"""A bundle as a whole: its manifest, and its parts, each held against its SHA-256; knows no network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sever.errors import InputError
from sever.files import sha256_of
from sever.names import inside
from sever.store.bundle.container import (
    MANIFEST,
    MOST_MANIFEST_BYTES,
    Parts,
    open_parts,
    raise_unless_good_names,
    write_parts,
)
from sever.store.bundle.manifest import BundleRecord, PartRecord

CARD = "card.md"
# Those that the first network was trained with.
SETTINGS = "settings.yml"
# Digests of the images that its networks were trained on, a line each; optional.
TRAINED_ON, TRAINED_ON_DIGITS = "trained-on.txt", 24
# Below it lies the model as `sever train` and its fellows leave it, less what predicting does not need.
TORCH = "torch"


@dataclass(frozen=True)
class Bundle:
    """One open bundle. Its manifest is checked; a part is when it is read."""

    parts: Parts
    manifest: BundleRecord

    @staticmethod
    def open(place: Path) -> Bundle:
        """Raises InputError, one sentence, for whatever is wrong with the file."""
        parts = open_parts(place)
        sizes = parts.sizes()
        if sizes[MANIFEST] > MOST_MANIFEST_BYTES:
            raise InputError(f"{place} is not a bundle: its {MANIFEST} has {sizes[MANIFEST]:,} bytes")
        manifest = BundleRecord.parse(_text(parts.read(MANIFEST), place), f"{place}, {MANIFEST}")
        _raise_unless_all_there(place, manifest, sizes)
        return Bundle(parts, manifest)

    @property
    def place(self) -> Path:
        return self.parts.place

    def manifest_bytes(self) -> bytes:
        """As it lies in the file; with the digests in it, it tells this bundle from any other."""
        return self.parts.read(MANIFEST)

    def read(self, name: str) -> bytes:
        """The content of a part. Raises InputError where it is not there, or not what the manifest says."""
        expected = self.manifest.parts.get(name)
        if expected is None:
            raise InputError(f"{self.place} has no part {name}; export the model again")
        content = self.parts.read(name)
        if hashlib.sha256(content).hexdigest() != expected.sha256:
            raise InputError(
                f"{self.place} is damaged: its part {name} does not match the manifest (SHA-256); copy it again "
                "from where it came from, or export it again"
            )
        return content

    def check(self) -> None:
        """Read every part. Raises InputError at the first that is not what the manifest says."""
        for name in self.manifest.parts:
            self.read(name)

    def unpack(self, prefix: str, folder: Path) -> Path:
        """The parts below `prefix` as files in `folder`; returns it."""
        for name in self.manifest.parts:
            if name.startswith(f"{prefix}/"):
                file = inside(folder, name.removeprefix(f"{prefix}/"), "part")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(self.read(name))
        return folder


def write_bundle(path: Path, manifest: BundleRecord, parts: Mapping[str, bytes | Path]) -> None:
    """Write a bundle whole or not at all; `manifest.parts` is filled in. Raises InputError where it is too large."""
    listed = {name: _measured(part) for name, part in parts.items()}
    raise_unless_good_names(path, [MANIFEST, *listed])
    whole = BundleRecord.parse(json.dumps(manifest.model_copy(update={"parts": listed}).as_json()), str(path))
    text = json.dumps(whole.as_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_parts(path, {MANIFEST: text.encode(), **parts})


def _measured(part: bytes | Path) -> PartRecord:
    if isinstance(part, Path):
        return PartRecord(bytes=part.stat().st_size, sha256=sha256_of(part))
    return PartRecord(bytes=len(part), sha256=hashlib.sha256(part).hexdigest())


def _text(content: bytes, place: Path) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{place} is not a bundle: its {MANIFEST} is not text in UTF-8") from error


def _raise_unless_all_there(place: Path, manifest: BundleRecord, sizes: Mapping[str, int]) -> None:
    missing = sorted(set(manifest.parts) - set(sizes))
    missing += sorted({part for network in manifest.networks for part in network.parts} - set(manifest.parts))
    if missing:
        raise InputError(f"{place} is damaged: it lacks the part {missing[0]}; copy it again, or export it again")
    extra = sorted(set(sizes) - {MANIFEST} - set(manifest.parts)) if not place.is_dir() else []
    if extra:
        raise InputError(f"{place} is not a bundle: its manifest does not know the part {extra[0]!r}")
    wrong = [name for name, part in manifest.parts.items() if part.bytes != sizes[name]]
    if wrong:
        raise InputError(
            f"{place} is damaged: its part {wrong[0]} has {sizes[wrong[0]]:,} bytes, the manifest says "
            f"{manifest.parts[wrong[0]].bytes:,}; copy it again, or export it again"
        )
