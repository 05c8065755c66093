"""Whether the same steel stands on both sides of a split, said in one line before anything is trained."""

from __future__ import annotations

import numpy as np

from sever.config import ExperimentConfig
from sever.counted import counted
from sever.data.duplicates import find_duplicates
from sever.data.table import ImageTable
from sever.progress import Stages, detail, warn

LEAST_OVERLAP = 0.5


def tell_copies_across(config: ExperimentConfig, table: ImageTable, parts: np.ndarray) -> None:
    """Warn of near-duplicates among images of unequal `parts` (N,), unless groups are known or it is turned off.

    `parts` are fold numbers, or whether an image trains.
    """
    if not config.folds.find_copies or table.frame["group"].notna().any() or len(set(parts.tolist())) < 2:
        return
    rows = range(len(table))
    with Stages() as stages:
        found = find_duplicates(
            [table.path(row) for row in rows],
            [table.size(row) for row in rows],
            LEAST_OVERLAP,
            config.data.significant_bits,
            lambda stage, done, total: stages.advance(f"copies across the split: {stage}", done, total),
            parts,
        )
    if not found:
        detail(f"no image on one side of the split shows the steel of one on the other ({len(table)} compared)")
        return
    images = {row for each in found for row in (each.first, each.second)}
    warn(
        f"{counted(len(found), 'pair of images shows', 'pairs of images show')} the same "
        f"steel on both sides of the split ({len(images)} of {len(table)} "
        "images), so scores will be too good; fix it with: sever data check "
        f"{config.data.root} -o checked --overlap {LEAST_OVERLAP:g}, then data.groups: checked/groups.csv"
    )
