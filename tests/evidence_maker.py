"""Out-of-fold evidence without a network: maps that look like a model's, made from the truth and noise."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from sever.config import DataSettings, RuleSettings
from sever.data.layouts import read_table
from sever.decide.postprocess import quantise
from sever.files import write_json
from sever.pipeline.evidence import open_evidence, write_score_table
from sever.store import Evidence
from sever.store.origin import Origin, digest_of, image_digests


def make_evidence(
    folder: Path,
    data_root: Path,
    seed: int = 0,
    noise: float = 0.25,
    gate: bool = False,
    folds: int = 3,
    rules: RuleSettings | None = None,
) -> Path:
    """Write a cross-validation's folder (without its runs) over a data set's training images; returns `folder`.

    `noise`: spread of the smooth noise on the maps; two seeds are two models of equal worth.
    """
    generator = np.random.default_rng(seed)
    data = DataSettings(root=data_root)
    table, _ = read_table(data)
    evidence, folds_n = Evidence(folder), np.arange(len(table)) % folds
    models = {str(fold): digest_of([folder.name, seed, fold]) for fold in range(folds)}
    digests = image_digests(table.path(row) for row in range(len(table)))
    origins = [str(Origin(models[str(fold)], digest)) for fold, digest in zip(folds_n, digests, strict=True)]
    for row, image_id in enumerate(table.image_ids):
        evidence.maps.write(image_id, quantise(_plausible(table.mask(row), noise, generator)), origins[row])
    write_json(
        evidence.about_file,
        {
            "kind": "crossval",
            "name": folder.name,
            "class_names": list(table.class_names),
            "folds": list(range(folds)),
            "data": data.model_dump(mode="json"),
            "models": models,
        },
    )
    frame = table.frame[["image_id", "group"]].assign(fold=folds_n)
    evidence.write_folds(frame)
    rules = rules or RuleSettings(min_pixels=(0,) * table.num_classes)
    write_json(evidence.rules_file, rules.model_dump(mode="json"))
    if gate:
        truth = table.has_class()
        label_probs_nc = np.clip(0.8 * truth + 0.1 + generator.normal(0, 0.1, truth.shape), 0, 1)
        evidence.write_label_probs(table.image_ids, label_probs_nc.astype(np.float32), origins)
    write_score_table(open_evidence(folder))
    return folder


def rewrite(evidence: Evidence, image_id: str, levels_chw: np.ndarray) -> None:
    """Other pixels in a map that says of its origin what it said."""
    evidence.maps.write(image_id, levels_chw, evidence.maps.origin(image_id))


def _plausible(masks_chw: np.ndarray, noise: float, generator: np.random.Generator) -> np.ndarray:
    """Blurred truth plus smooth noise, clipped to 0..1, float32."""
    probs_chw = np.empty(masks_chw.shape, np.float32)
    for probs_hw, mask_hw in zip(probs_chw, masks_chw, strict=True):
        smooth_hw = cv2.GaussianBlur(generator.normal(0, 1, mask_hw.shape).astype(np.float32), (0, 0), 3)
        smooth_hw *= noise / max(float(smooth_hw.std()), 1e-6)
        blurred_hw = cv2.GaussianBlur(mask_hw.astype(np.float32), (0, 0), 1.5)
        probs_hw[:] = np.clip(0.05 + 0.9 * blurred_hw + smooth_hw, 0, 1)
    return probs_chw
