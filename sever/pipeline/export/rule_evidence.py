"""What a bundle tells of its training: what other rules would do out of fold, and which images were trained on.

Whoever moves a threshold on the line then sees what it does to images that no network had seen.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sever.decide.rules import Rules, resolve_rules
from sever.decide.tuning import RuleTable, rule_grid, table_row
from sever.files import sha256_of
from sever.pipeline.evidence import open_evidence
from sever.pipeline.export.images import training_images
from sever.progress import info
from sever.store import Evidence
from sever.store.bundle.bundle import TRAINED_ON_DIGITS
from sever.store.bundle.manifest import RuleEvidenceRecord

if TYPE_CHECKING:
    # Which knows torch.
    from sever.pipeline.export.trained import TrainedModel

# Every how many of the smallest areas that tuning tries is told.
AREA_STEP = 2
DIGITS = 4


def rule_evidence(trained: TrainedModel) -> tuple[RuleEvidenceRecord, ...] | None:
    """A record a class; None of a single run, and where the evidence or its maps are not there any more."""
    if trained.kind == "run" or not trained.draws_masks:
        return None
    evidence = Evidence.find(trained.path)
    if not (evidence.folds_file.is_file() and evidence.pairs_file.is_file()):
        return None
    opened = open_evidence(evidence.folder)
    if not all(map(evidence.maps.holds, opened.table.image_ids, opened.origins)):
        info("the maps out of fold are not all there, so the file says nothing of what other rules would do")
        return None
    rules = resolve_rules(trained.rules, opened.num_classes)
    heights, widths = (opened.table.frame[name].to_numpy() for name in ("height", "width"))
    grid = rule_grid(rules, int(np.median(heights * widths)), opened.gate_probs_nc is not None)
    rows = [
        table_row(levels_chw, opened.table.mask(row), rules, grid.thresholds, opened.gate(row))
        for row, levels_chw in opened.maps()
    ]
    table = RuleTable.of(rows, grid.thresholds, opened.gate_probs_nc)
    return tuple(
        _of_class(table, rules, index, axes.pixel_thresholds, _some(axes.min_pixels, rules.classes[index].min_pixels))
        for index, axes in enumerate(grid.classes)
    )


def trained_on(trained: TrainedModel) -> str:
    """The digests of the image files that any of its networks was trained on, so that nobody takes these for a test."""
    paths = {path for network in trained.networks for path in training_images(network).paths}
    return "".join(f"{digest}\n" for digest in sorted(sha256_of(path)[:TRAINED_ON_DIGITS] for path in paths))


def _some(areas: tuple[int, ...], own: int) -> tuple[int, ...]:
    return tuple(sorted({0, own, *areas[::AREA_STEP]}))


def _of_class(
    table: RuleTable, rules: Rules, index: int, thresholds: tuple[float, ...], areas: tuple[int, ...]
) -> RuleEvidenceRecord:
    cells = [[_cell(table, rules, index, threshold, area) for area in areas] for threshold in thresholds]
    dice, found, false_calls = (tuple(tuple(cell[at] for cell in row) for row in cells) for at in range(3))
    with_it = int(np.count_nonzero(table.true_nc[:, index]))
    return RuleEvidenceRecord(
        thresholds=thresholds,
        areas=areas,
        images=table.num_images,
        images_with_it=with_it,
        dice=dice,
        found=found,
        false_calls=false_calls,
    )


def _cell(table: RuleTable, rules: Rules, index: int, threshold: float, area: int) -> tuple[float, float, float]:
    """Mean Dice, share of images with the class in which it is called, and of those without."""
    own = rules.classes[index]
    label = None if own.label_threshold is None else max(own.label_threshold, threshold)
    tried = replace(own, pixel_threshold=threshold, label_threshold=label, min_pixels=area)
    pixels = table.predicted_tnc[table.thresholds.index(threshold), :, index]
    kept = table.is_kept(index, tried, rules)
    called, there = kept & (pixels > 0), table.true_nc[:, index] > 0
    dice = np.where(kept, table.drawn_dice(index, threshold), table.empty_dice(index))
    return tuple(round(float(each), DIGITS) for each in (dice.mean(), _share(called[there]), _share(called[~there])))  # type: ignore[return-value]


def _share(chosen: np.ndarray) -> float:
    return float(chosen.mean()) if chosen.size else 0.0
