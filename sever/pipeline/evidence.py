"""Out-of-fold evidence, opened: the images, their true masks, stored maps and gate, and the score table from them.

Blending, tuning, selection and reports work from this, so that trying a blend or a rule never runs a network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sever.config import DataSettings, RuleSettings
from sever.data.layouts import read_again
from sever.data.table import ImageTable
from sever.decide.metrics import dice_pairs, pair_counts
from sever.decide.postprocess import draw_masks
from sever.decide.rules import resolve_rules
from sever.errors import InputError
from sever.prefetch import read_ahead
from sever.progress import meter
from sever.store import Evidence, read_rules
from sever.store.origin import image_digests
from sever.store.tables import PAIRS


@dataclass(frozen=True)
class OpenEvidence:
    """Evidence with its labels; row n of `table`, `folds_n`, `gate_probs_nc` and `origins` is one image.

    `origins`: what each stored map must say of the model and the image that it comes from.
    """

    evidence: Evidence
    table: ImageTable
    folds_n: np.ndarray
    gate_probs_nc: np.ndarray | None
    rules: RuleSettings
    data: DataSettings
    origins: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.evidence.about().name

    @property
    def num_classes(self) -> int:
        return self.table.num_classes

    def levels(self, row: int) -> np.ndarray:
        """One image's stored map, (C, H, W) uint8 levels. Raises InputError where it is not of this model and image."""
        image_id = self.table.image_id(row)
        if image_id in self.evidence.maps and not self.evidence.maps.holds(image_id, self.origins[row]):
            raise InputError(
                f"map {self.evidence.maps.path(image_id)} was made by another model or with other settings, or its "
                f"image has changed since; {self.evidence.remedy()}"
            )
        levels_chw = self.evidence.maps.read(image_id, self.num_classes)
        if levels_chw.shape[1:] != self.table.size(row):
            raise InputError(f"map {self.evidence.maps.path(image_id)} is not of its image's size")
        return levels_chw

    def raise_unless_mapped(self) -> None:
        """Raises InputError where an image has no stored map."""
        maps, folder = self.evidence.maps, self.evidence.folder
        missing = maps.missing(self.table.image_ids)
        if len(missing) == len(self.table):
            raise InputError(
                f"{folder} has no probability maps (probs/), which only segmenters leave. What an image classifier "
                "says takes part as a gate, in a blend with segmenters"
            )
        if missing:
            raise InputError(
                f"{maps.folder} lacks the probability maps of {len(missing)} of {len(self.table)} images "
                f"({', '.join(missing[:3])}); run its `sever crossval` or `sever blend` again"
            )
        ids = self.table.image_ids
        foreign = [name for name, origin in zip(ids, self.origins, strict=True) if not maps.holds(name, origin)]
        if foreign:
            raise InputError(
                f"{maps.folder}: {len(foreign)} of {len(ids)} maps were made by another model or with other settings, "
                f"or their images have changed since ({', '.join(foreign[:3])}); {self.evidence.remedy()}"
            )

    def gate(self, row: int) -> np.ndarray | None:
        return None if self.gate_probs_nc is None else self.gate_probs_nc[row]

    def maps(self) -> Iterator[tuple[int, np.ndarray]]:
        """(row, levels (C, H, W) uint8) of every image, in order; a few are in memory at a time."""
        return enumerate(read_ahead(self.levels, range(len(self.table)), depth=8))

    def masks(self, rules: RuleSettings | None = None) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """(row, levels, masks (C, H, W) uint8) of every image, drawn by `rules`, by default those of the folder."""
        resolved = resolve_rules(rules or self.rules, self.num_classes)
        for row, levels_chw in self.maps():
            yield row, levels_chw, draw_masks(levels_chw, resolved, self.gate(row))


def open_evidence(path: Path) -> OpenEvidence:
    """Read what `sever crossval` or `sever blend` left. Raises InputError for what is missing or doesn't fit."""
    evidence = Evidence.find(path)
    about, folds = evidence.about(), evidence.read_folds()
    if about.data is None:
        raise InputError(f"{evidence.about_file} is damaged: it lacks `data`; {about.what_to_do}")
    table = read_again(about.data, evidence.folder, thorough=False)
    if table.class_names != about.class_names:
        names = ", ".join(about.class_names)
        raise InputError(f"{evidence.folder} is about the classes {names}, the data has others now")
    table = table.select(folds["image_id"], evidence.folder)
    folds_n = folds["fold"].to_numpy(dtype=int)
    origins = evidence.origins(folds_n, image_digests(table.paths))
    gate = evidence.read_label_probs(table.image_ids, table.num_classes, origins)
    rules = read_rules(evidence.rules_file)
    return OpenEvidence(evidence, table, folds_n, gate, rules, about.data, tuple(origins))


def write_score_table(opened: OpenEvidence, rules: RuleSettings | None = None) -> pd.DataFrame:
    """Draw every mask from its stored map, score it, and keep one row an (image, class) as pairs.csv."""
    frame = score_table(opened, rules)
    opened.evidence.write_pairs(frame)
    return frame


def score_table(opened: OpenEvidence, rules: RuleSettings | None = None) -> pd.DataFrame:
    """One row an (image, class): PAIRS."""
    rows: list[dict[str, Any]] = []
    groups = opened.table.frame["group"].tolist()
    with meter("score", len(opened.table)) as progress:
        for row, levels_chw, masks_chw in opened.masks(rules):
            counts = pair_counts(masks_chw, opened.table.mask(row))
            gate, dice = opened.gate(row), dice_pairs(counts)
            rows += [
                {
                    "image_id": opened.table.image_id(row),
                    "group": groups[row],
                    "fold": opened.folds_n[row],
                    "class_id": index + 1,
                    "dice": dice[index],
                    "true_pixels": counts.true[index],
                    "pred_pixels": counts.predicted[index],
                    "common_pixels": counts.intersection[index],
                    "max_prob": levels_chw[index].max() / 255,
                    "gate_prob": np.nan if gate is None else gate[index],
                }
                for index in range(opened.num_classes)
            ]
            progress.advance()
    return pd.DataFrame(rows, columns=list(PAIRS))
