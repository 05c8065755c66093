"""What this user's machine has found out once and need not again; may be deleted at any time. Knows not what it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from sever.records import Record, Sha256

# Where it lies instead, for tests, and for whoever has no home.
FOLDER_VARIABLE = "SEVER_CACHE"


def user_cache() -> Path:
    """$SEVER_CACHE, else sever/ in $XDG_CACHE_HOME, else in ~/.cache."""
    if own := os.environ.get(FOLDER_VARIABLE):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "sever"


class SpeedsRecord(Record):
    """How fast each backend runs a bundle on one machine."""

    what_to_do: ClassVar[str] = "delete it, and it is measured again"

    bundle_sha256: Sha256
    machine: str
    images_per_second: dict[str, float]
