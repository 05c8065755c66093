"""A blend beside its members: Dice of each, and whether the lead is more than noise; reads score tables only."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from sever.decide.bootstrap import paired_interval
from sever.store import Evidence, read_rules


def compare(evidence: Evidence) -> dict[str, Any]:
    """Mean Dice of the blend and of every member, each under its own rules, and the paired difference to the best."""
    about, kept = evidence.about(), [Evidence(folder) for folder in evidence.members()]
    members = [member for member in kept if member.has_maps]
    assert about.blend is not None, "a blend's record has it"
    selection = evidence.blend_record().selection
    pairs = evidence.read_pairs()
    blend_nc, groups = _dice(pairs, pairs), pairs.drop_duplicates("image_id")["group"].to_numpy()
    scores = [_dice(member.read_pairs(), pairs) for member in members]
    best = int(np.argmax([score.mean() for score in scores]))
    weights = list(about.blend.weights) or [1.0] * len(members)
    rules = [read_rules(each.rules_file) for each in (evidence, *members)]
    return {
        "folder": str(evidence.folder),
        "name": about.name,
        "images": len(blend_nc),
        "classes": list(about.class_names),
        "blend": about.blend.model_dump(mode="json", exclude={"ranks"}),
        "members": [
            {"name": member.about().name, "folder": str(member.folder), "weight": weight} | _means(score)
            for member, weight, score in zip(members, weights, scores, strict=True)
        ],
        "gates": [str(member.folder) for member in kept if member not in members],
        "same_rules": all(each == rules[0] for each in rules),
        **_means(blend_nc),
        "best_member": members[best].about().name,
        "gain": asdict(paired_interval(blend_nc, scores[best], groups)),
        "selection": selection and selection.model_dump(mode="json"),
    }


def _dice(pairs: pd.DataFrame, like: pd.DataFrame) -> np.ndarray:
    """(N, C) Dice, images in the order of `like`."""
    table = pairs.pivot(index="image_id", columns="class_id", values="dice")
    return table.loc[like["image_id"].drop_duplicates()].to_numpy(dtype=np.float64)


def _means(dice_nc: np.ndarray) -> dict[str, Any]:
    return {"dice": float(dice_nc.mean()), "dice_per_class": dice_nc.mean(axis=0).tolist()}
