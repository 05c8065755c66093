"""What normal images look like as a part of a bundle: float32, little-endian, one array behind the other."""

from __future__ import annotations

import numpy as np

from sever.decide.familiarity import Normality, as_arrays, from_arrays
from sever.errors import InputError
from sever.store.bundle.manifest import NormalityRecord

_NUMBER = np.dtype("<f4")


def normality_part(normality: Normality) -> bytes:
    """In the order of docs/bundle.md, section 7."""
    return b"".join(array.astype(_NUMBER).tobytes() for array in as_arrays(normality).values())


def read_normality_part(content: bytes, record: NormalityRecord) -> Normality:
    """Raises InputError where its length, or a number in it, can't be."""
    features, directions = record.features, record.directions
    shapes = {
        "mean_f": (features,),
        "scale_f": (features,),
        "directions_kf": (directions, features),
        "deviations_k": (directions,),
        "rest": (1,),
        "distances_v": (record.held_out,),
    }
    counts = [int(np.prod(shape)) for shape in shapes.values()]
    if len(content) != sum(counts) * _NUMBER.itemsize:
        raise InputError(f"{record.part} has {len(content):,} bytes, not those of what the manifest says of it")
    flat = np.split(np.frombuffer(content, _NUMBER), np.cumsum(counts)[:-1])
    return from_arrays({name: part.reshape(shapes[name]) for name, part in zip(shapes, flat, strict=True)})
