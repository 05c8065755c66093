"""`sever data check`: which images show the same steel, as groups for the folds, as a list and as a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from sever.config import DataSettings
from sever.config.mask_values import IGNORED
from sever.counted import counted
from sever.data.duplicates import Duplicate, find_duplicates, group_numbers, lay_on
from sever.data.faults import images_of
from sever.data.images import read_image
from sever.data.layouts import read_table
from sever.data.table import ImageTable
from sever.decide.metrics import dice_pairs, pair_counts
from sever.deliver.pair_sheet import Pair, pair_sheet
from sever.errors import InputError
from sever.locks import writes_to
from sever.output import OutputFolder
from sever.progress import Stages, info

# Pairs that overlap less than this are not looked for: too little of the steel is the same.
LEAST_SHOWN_OVERLAP = 0.5
# Dice below which two masks of one piece of steel count as different.
SAME_MASKS = 0.8
TEST = "test_images"


RESULTS = ("groups.csv", "duplicates.csv", "check.json", "pairs.png")


@dataclass(frozen=True)
class Checked:
    """What was compared: the table of all images, in which parts of the data set they lie, and which have labels."""

    table: ImageTable
    parts: list[str]
    has_labels: np.ndarray


@writes_to("output")
def check_data(settings: DataSettings, least_overlap: float, output: Path, num_shown: int) -> dict[str, Any]:
    """Find near-duplicates, write groups.csv, duplicates.csv, check.json and pairs.png; returns check.json's content.

    Raises InputError for a data set that can't be read, or an overlap out of range.
    """
    if not LEAST_SHOWN_OVERLAP <= least_overlap <= 1:
        raise InputError(f"an overlap of {least_overlap:g} can't be asked for; it is {LEAST_SHOWN_OVERLAP:g} to 1")
    home = OutputFolder(output)
    home.claim(RESULTS)
    checked = _read(settings)
    table = checked.table
    with Stages() as stages:
        found = find_duplicates(
            table.paths,
            [table.size(row) for row in range(len(table))],
            LEAST_SHOWN_OVERLAP,
            settings.significant_bits,
            stages.advance,
        )
    pairs = _describe(checked, found)
    grouped = pairs["overlap"] >= least_overlap
    groups = group_numbers(len(table), [each[:2] for each, is_one in zip(found, grouped, strict=True) if is_one])
    numbers = _numbers(checked, pairs, grouped, groups, least_overlap)
    with home.new("groups.csv") as temporary:
        pd.DataFrame({"image": table.image_ids, "group": groups}).to_csv(temporary, index=False)
    with home.new("duplicates.csv") as temporary:
        pairs.assign(grouped=grouped).to_csv(temporary, index=False)
    home.write_json("check.json", numbers)
    shown = _worst_first(pairs[grouped], groups, found)[:num_shown]
    if shown:
        pictures = [_picture(checked, found[row], pairs.iloc[row]) for row in shown]
        with home.new("pairs.png") as temporary:
            pair_sheet(temporary, pictures, table.class_names)
    return numbers


def render(numbers: dict[str, Any], output: Path) -> str:
    """The findings in words, with what to do next."""
    lines = [
        f"{counted(numbers['images'], 'image')}: {numbers['equal_pairs']} pairs are equal, "
        f"{numbers['near_pairs']} more show the "
        f"same steel, at least {numbers['least_overlap']:.0%} of it.",
        f"That makes {counted(numbers['groups'], 'group')}; "
        f"the largest has {counted(numbers['largest_group'], 'image')}.",
    ]
    if numbers["less_overlap_pairs"]:
        lines.append(
            f"Another {numbers['less_overlap_pairs']} pairs share {LEAST_SHOWN_OVERLAP:.0%} to "
            f"{numbers['least_overlap']:.0%}; `--overlap {LEAST_SHOWN_OVERLAP:g}` puts them into one group, too."
        )
    if numbers["pairs_across_parts"]:
        lines.append(f"{numbers['pairs_across_parts']} pairs lie in two parts of the data set: {numbers['parts']}.")
    if numbers["pairs_with_different_masks"]:
        lines.append(
            f"The masks of {numbers['pairs_with_different_masks']} pairs differ (Dice below {SAME_MASKS:g}); "
            f"they come first in {output / 'pairs.png'}."
        )
    lines.append(f"To keep each group on one side of every split: data.groups: {output / 'groups.csv'}")
    return "\n".join(lines)


def _read(settings: DataSettings) -> Checked:
    """The labelled images and, in the Severstal layout, those of test_images/ with them."""
    table, skipped = read_table(settings)
    if skipped:
        info(f"left out {counted(len(images_of(skipped)), 'image')}")
    parts = [_part(image_id) for image_id in table.image_ids]
    labelled = np.ones(len(table), bool)
    if not (settings.root / TEST).is_dir():
        return Checked(table, parts, labelled)
    test, _ = read_table(settings, "test")
    frame = test.frame.assign(image_id=[f"{TEST}/{image_id}" for image_id in test.image_ids])
    frame = pd.concat([table.frame, frame], ignore_index=True)
    return Checked(
        ImageTable(frame, table.class_names),
        ["train_images"] * len(table) + [TEST] * len(test),
        np.concatenate([labelled, np.full(len(test), settings.test_labels is not None)]),
    )


def _part(image_id: str) -> str:
    """The folder in which an image lies, e.g. training or test; "" at the top."""
    parents = PurePosixPath(image_id).parts[:-1]
    return parents[0] if parents else ""


def _describe(checked: Checked, found: list[Duplicate]) -> pd.DataFrame:
    table, ids = checked.table, checked.table.image_ids
    rows = []
    for each in found:
        height, width = table.size(each.first)
        rows.append(
            {
                "image": ids[each.first],
                "other": ids[each.second],
                "equal": each.is_exact,
                "turn": each.alignment.turn,
                "down_pixels": round(each.alignment.down * height),
                "right_pixels": round(each.alignment.right * width),
                "overlap": round(each.alignment.overlap, 3),
                "likeness": round(each.alignment.likeness, 3),
                "mask_dice": _mask_dice(checked, each),
                "across": checked.parts[each.first] != checked.parts[each.second],
            }
        )
    columns = ["image", "other", "equal", "turn", "down_pixels", "right_pixels", "overlap", "likeness", "mask_dice"]
    return pd.DataFrame(rows, columns=[*columns, "across"])


def _mask_dice(checked: Checked, pair: Duplicate) -> float | None:
    """The lowest Dice of a class, in what both images show, of one image's mask against the other's."""
    if not checked.has_labels[[pair.first, pair.second]].all():
        return None
    mine, other = _masks(checked, pair)
    # What nobody judged in either counts in neither.
    other = np.where(mine == IGNORED, mine, other)
    return round(float(dice_pairs(pair_counts(mine, other)).min()), 3)


def _masks(checked: Checked, pair: Duplicate) -> tuple[np.ndarray, np.ndarray]:
    """Both (C, h, w): the masks of what both images show."""
    first, second = (checked.table.mask(row).transpose(1, 2, 0) for row in (pair.first, pair.second))
    mine, other = lay_on(first, second, pair.alignment)
    return mine.transpose(2, 0, 1), other.transpose(2, 0, 1)


def _numbers(
    checked: Checked, pairs: pd.DataFrame, grouped: pd.Series, groups: np.ndarray, least_overlap: float
) -> dict[str, Any]:
    of_groups = pairs[grouped]
    return {
        "images": len(checked.table),
        "least_overlap": least_overlap,
        "equal_pairs": int(of_groups["equal"].sum()),
        "near_pairs": int((~of_groups["equal"].astype(bool)).sum()),
        "less_overlap_pairs": int((~grouped).sum()),
        "groups": len(set(groups.tolist())),
        "largest_group": int(np.bincount(groups).max()),
        "parts": " and ".join(sorted(set(checked.parts))),
        "pairs_across_parts": int(of_groups["across"].sum()),
        "pairs_with_different_masks": int((of_groups["mask_dice"] < SAME_MASKS).sum()),
    }


def _worst_first(pairs: pd.DataFrame, groups: np.ndarray, found: list[Duplicate]) -> list[int]:
    """Row numbers, one a group: masks that differ most, then pairs across parts, then those that are least alike."""
    order = pairs.assign(within=~pairs["across"].astype(bool), group=[groups[found[row].first] for row in pairs.index])
    order = order.sort_values(["mask_dice", "within", "likeness"]).drop_duplicates("group")
    return [int(row) for row in order.index]


def _picture(checked: Checked, pair: Duplicate, row: pd.Series) -> Pair:
    table = checked.table
    images = [
        read_image(table.path(each), 3, max_pixels=math.prod(table.size(each))) for each in (pair.first, pair.second)
    ]
    dice_text = "" if pd.isna(row["mask_dice"]) else f", Dice of the masks {row['mask_dice']:.2f}"
    about = (
        f"{row['turn']}, {row['right_pixels']} right, {row['down_pixels']} down, {row['overlap']:.0%} shared{dice_text}"
    )
    return Pair(
        f"{row['image']}  |  {row['other']}",
        about if row["turn"] != "none" else about.replace("none, ", "not turned, ", 1),
        lay_on(images[0], images[1], pair.alignment),
        _masks(checked, pair),
    )
