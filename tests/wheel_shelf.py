"""Made-up wheels, and a pip that knows no others: what installs and fetches is tested without an index."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from kaggle_server import zipped


def fake_wheel(folder: Path, name: str, version: str = "9.0", needs: Sequence[str] = ()) -> Path:
    """Write a wheel that holds nothing but its metadata; returns its path."""
    stem = f"{name.replace('-', '_')}-{version}"
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    about += "".join(f"Requires-Dist: {need}\n" for need in needs)
    tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    info = f"{stem}.dist-info"
    path = folder / f"{stem}-py3-none-any.whl"
    path.write_bytes(
        zipped({f"{info}/METADATA": about.encode(), f"{info}/WHEEL": tags.encode(), f"{info}/RECORD": b""})
    )
    return path


def only_from(shelf: Path, patch: pytest.MonkeyPatch) -> None:
    """Have pip look for wheels in this folder, and nowhere else."""
    patch.setenv("PIP_CONFIG_FILE", os.devnull)
    patch.setenv("PIP_NO_INDEX", "1")
    patch.setenv("PIP_FIND_LINKS", str(shelf))
