"""Weights for torch out of a bundle: in a temporary folder that is gone when the process ends; knows no torch."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from sever.errors import InputError
from sever.names import inside
from sever.store.bundle.bundle import TORCH, Bundle
from sever.store.bundle.container import is_bundle


def torch_path(path: Path) -> Path:
    """The path that means the same model in the form that `sever train` leaves it; of what is not a bundle, itself.

    Raises InputError for a damaged bundle, and one without weights for torch.
    """
    return _unpacked(path.resolve(), path.stat().st_mtime_ns) if is_bundle(path) else path


@functools.lru_cache(maxsize=8)
def _unpacked(path: Path, mtime_ns: int) -> Path:
    bundle = Bundle.open(path)
    start = bundle.manifest.torch
    if start is None:
        raise InputError(f"{path} holds no weights for torch; run it in another backend, or export it with torch")
    folder = Path(tempfile.mkdtemp(prefix="sever-bundle-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    bundle.unpack(TORCH, folder)
    return folder if start == "." else inside(folder, start, "path of the model")
