"""normality.safetensors in a run's folder: what normal images look like to a checkpoint; knows no networks."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from sever.decide.familiarity import Normality, as_arrays, from_arrays
from sever.errors import InputError
from sever.output import OutputFolder

NORMALITY = "normality.safetensors"
WEIGHTS = "weights_sha256"
AGAIN = "learn it again with: sever data familiar"


def write_normality(folder: Path, normality: Normality, weights_sha256: str) -> None:
    """`weights_sha256`: of the checkpoint whose features it is about. Raises InputError where the file isn't ours."""
    with OutputFolder(folder).new(NORMALITY) as temporary:
        save_file(as_arrays(normality), temporary, {WEIGHTS: weights_sha256})


def read_normality(folder: Path, weights_sha256: str) -> Normality | None:
    """None where none was learnt, or for other weights than these. Raises InputError for a damaged file."""
    path = folder / NORMALITY
    if not path.is_file():
        return None
    try:
        with safe_open(path, "numpy") as file:
            if (file.metadata() or {}).get(WEIGHTS) != weights_sha256:
                return None
            return from_arrays({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read {path}: {error}; {AGAIN}") from error
    except InputError as error:
        raise InputError(f"{path} is damaged: {error}; {AGAIN} {folder}") from error
