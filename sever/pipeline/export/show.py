"""`sever inspect`: a bundle's card and its parts, once every part was held against its digest."""

from __future__ import annotations

from pathlib import Path

from sever.pipeline.export.card import model_card
from sever.store.bundle.bundle import Bundle


def read_whole(path: Path) -> Bundle:
    """Raises InputError for whatever is wrong with the file, or with any part of it."""
    bundle = Bundle.open(path)
    bundle.check()
    return bundle


def as_text(bundle: Bundle) -> str:
    """The model card of the manifest, and the parts with their sizes."""
    manifest = bundle.manifest
    parts = [f"{part.bytes:>13,}  {name}" for name, part in sorted(manifest.parts.items())]
    total = sum(part.bytes for part in manifest.parts.values())
    return "\n".join([model_card(manifest), "## Parts", "", *parts, f"{total:>13,}  bytes in all"])
