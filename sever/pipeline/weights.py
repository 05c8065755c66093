"""How much each image counts, from a CSV; knows not why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sever.errors import InputError
from sever.near_names import unreadable
from sever.store.tables import parse_csv


def read_weights(path: Path, image_ids: Sequence[str]) -> np.ndarray:
    """(N,) weights, 1 on average, by a CSV with the columns image_id and weight. Raises InputError."""
    frame = read_columns(path, ("image_id", "weight"))
    weights = pd.to_numeric(frame.set_index("image_id")["weight"], errors="coerce")
    if weights.index.has_duplicates:
        raise InputError(f"{path} gives an image two weights: {weights.index[weights.index.duplicated()][0]}")
    weights_n = weights.reindex(list(image_ids)).to_numpy(dtype=float)
    bad = np.flatnonzero(~(np.isfinite(weights_n) & (weights_n > 0)))
    if bad.size:
        raise InputError(
            f"{path} gives no weight above 0 to {bad.size} of {len(weights_n)} images, as to "
            f"{image_ids[bad[0]]}; every image out of fold needs one"
        )
    return np.asarray(weights_n / weights_n.mean())


def read_columns(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Raises InputError for a file that can't be read, or lacks one of the columns."""
    try:
        frame = parse_csv(path.read_bytes(), path)
    except OSError as error:
        raise InputError(unreadable(path, error)) from error
    missing = [column for column in columns if column not in frame]
    if missing:
        raise InputError(f"{path} lacks the column {', '.join(missing)}; it needs {', '.join(columns)}")
    return frame
