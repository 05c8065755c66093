"""What a scored prediction found and missed, counted in images and said in words; knows no files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sever.counted import counted


def found_in_words(evaluation: Mapping[str, Any]) -> str:
    """Sentences on the counts of `evaluate`: of all images, then a line a class, then what the mean Dice is made of."""
    images, seen = evaluation["images"], evaluation["has_defect"]
    defective = seen["tp"] + seen["fn"]
    lines = [
        f"Of {counted(defective, 'defective image')} {seen['tp']} {_were(seen['tp'])} found and {seen['fn']} missed; "
        f"of {counted(images - defective, 'clean image')} {seen['tn']} {_were(seen['tn'])} called clean and "
        f"{seen['fp']} {_were(seen['fp'])} called defective."
    ]
    classes = zip(evaluation["classes"], evaluation["has_defect_per_class"], strict=True)
    lines += [f"  class {name}: {_of_class(**own)}" for name, own in classes]
    return "\n".join([*lines, _of_the_score(evaluation)])


def _of_class(tp: int, fp: int, fn: int, tn: int) -> str:
    shown = f"the {counted(tp + fn, 'image')} with it"
    found = f"found in {tp} of {shown}" if tp + fn else "no image shows it"
    return f"{found}, {counted(fp, 'false alarm')} in {counted(fp + tn, 'other image')}"


def _of_the_score(evaluation: Mapping[str, Any]) -> str:
    dice, empty, positive = (evaluation[key] for key in ("dice", "dice_all_empty", "dice_positive"))
    said = (
        f"Mean Dice {dice:.4f}: each image counts once per class, as 1 where the class is neither present nor drawn. "
        f"So a prediction without any mask scores {empty:.4f}{_against(dice - empty)}."
    )
    if positive is None:
        return said
    return said + f" Where a class is present, masks reach a Dice of {positive:.4f} on average, misses counted as 0."


def _against(gain: float) -> str:
    if round(gain, 4) == 0:
        return ", and so does this one"
    return f"; this one scores {abs(gain):.4f} {'more' if gain > 0 else 'less'}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"
