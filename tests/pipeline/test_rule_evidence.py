"""What a bundle says of other rules is what drawing the masks of the evidence by them gives."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from evidence_maker import make_evidence

from sever.config import RuleSettings
from sever.decide.metrics import dice_pairs, pair_counts
from sever.decide.postprocess import draw_masks
from sever.decide.rules import resolve_rules, settings_of
from sever.pipeline.evidence import open_evidence
from sever.pipeline.export.rule_evidence import rule_evidence

RULES = RuleSettings(pixel_threshold=0.5, label_threshold=0.6, min_pixels=(10, 10, 10, 10), overlap="allow")


def trained(folder: Path, kind: str = "crossval") -> SimpleNamespace:
    return SimpleNamespace(kind=kind, draws_masks=True, path=folder, rules=RULES)


def share(chosen: np.ndarray) -> float:
    """A class that is nowhere, or everywhere, has a share of no images: 0."""
    return float(chosen.mean()) if chosen.size else 0.0


def test_the_grid_is_what_drawing_says(strip_root: Path, tmp_path: Path) -> None:
    folder = make_evidence(tmp_path / "cv", strip_root, rules=RULES)
    found = rule_evidence(trained(folder))  # type: ignore[arg-type]
    assert found is not None
    opened = open_evidence(folder)
    base = resolve_rules(RULES, 4)
    for index, record in enumerate(found):
        assert {0, 10} <= set(record.areas)
        for row in (0, len(record.thresholds) // 2, len(record.thresholds) - 1):
            threshold, column = record.thresholds[row], len(record.areas) // 2
            own = replace(base.classes[index], pixel_threshold=threshold, min_pixels=record.areas[column])
            own = replace(own, label_threshold=max(0.6, threshold))
            rules = replace(base, classes=(*base.classes[:index], own, *base.classes[index + 1 :]))
            dice, called, there = [], [], []
            for at, levels_chw in opened.maps():
                masks_chw, true_chw = draw_masks(levels_chw, rules), opened.table.mask(at)
                dice.append(dice_pairs(pair_counts(masks_chw, true_chw))[index])
                called.append(masks_chw[index].any())
                there.append(true_chw[index].any())
            is_there = np.array(there)
            assert record.dice[row][column] == pytest.approx(np.mean(dice), abs=1e-4)
            assert record.found[row][column] == pytest.approx(share(np.array(called)[is_there]), abs=1e-4)
            assert record.false_calls[row][column] == pytest.approx(share(np.array(called)[~is_there]), abs=1e-4)
        assert (record.images, record.images_with_it) == (16, sum(there))


def test_without_maps_or_evidence_there_is_none(strip_root: Path, tmp_path: Path) -> None:
    folder = make_evidence(tmp_path / "cv", strip_root, rules=RULES)
    assert rule_evidence(trained(folder, "run")) is None  # type: ignore[arg-type]
    shutil.rmtree(folder / "probs")
    assert rule_evidence(trained(folder)) is None  # type: ignore[arg-type]
    (folder / "folds.csv").unlink()
    assert rule_evidence(trained(folder)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings",
    [
        RULES,
        RuleSettings(seed_threshold=(0.5, 0.9), pixel_threshold=(0.4, 0.6), dilate_pixels=2, fill_holes=True),
        RuleSettings(gate={"kind": "soft", "threshold": 0.3, "factor": 7}, overlap="larger_component"),  # type: ignore[arg-type]
    ],
)
def test_rules_come_back_as_settings_that_mean_the_same(settings: RuleSettings) -> None:
    classes = 4 if settings is RULES else 2
    resolved = resolve_rules(settings, classes)
    assert resolve_rules(settings_of(resolved), classes) == resolved
