"""normality.npz in a run's folder: what normal images look like to one of its checkpoints; knows no networks."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from sever.decide.familiarity import Normality, as_arrays, from_arrays
from sever.errors import InputError
from sever.output import OutputFolder
from sever.store.origin import digest_of_content

NORMALITY = "normality.npz"
WEIGHTS = "weights_sha256"
# What numpy and zipfile raise for damaged archives; the header of an array is read as Python's own text.
DAMAGE: tuple[type[Exception], ...] = (InputError, OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile)
DAMAGE += (zlib.error, TokenError, SyntaxError, MemoryError, OverflowError, RecursionError, NotImplementedError)
AGAIN = "delete it, and learn it again with: sever data familiar"


def write_normality(folder: Path, normality: Normality, weights_sha256: str) -> None:
    """`weights_sha256`: of the checkpoint whose features it is about. Raises InputError where the file isn't ours."""
    arrays: dict[str, Any] = as_arrays(normality) | {WEIGHTS: np.array(weights_sha256)}
    with OutputFolder(folder).new(NORMALITY) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def read_normality(folder: Path, weights_sha256: str) -> Normality | None:
    """None where none was learnt, or for other weights than these. Raises InputError for a damaged file."""
    path = folder / NORMALITY
    if not path.is_file():
        return None
    try:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in zipfile.ZipFile(path).infolist()):
            raise InputError("it is compressed, and could be of any size")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if str(arrays.pop(WEIGHTS, "")) != weights_sha256:
            return None
        return from_arrays(arrays)
    except DAMAGE as error:
        raise InputError(f"{path} is damaged: {error}; {AGAIN} {folder}") from error


def digest_of_normality(normality: Normality) -> str:
    """Of all its numbers."""
    return digest_of_content(b"".join(array.tobytes() for array in as_arrays(normality).values()))
