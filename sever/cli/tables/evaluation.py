"""The scores of `sever evaluate` as a table."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

from sever.cli.tables.labels import counts_of, render_labels
from sever.cli.tables.text import as_number, as_text
from sever.counted import counted


def render_evaluation(evaluation: dict[str, Any]) -> str:
    """The scores as a table that a person reads; of a classifier those of its labels."""
    if "dice" not in evaluation:
        return render_labels(evaluation["classes"], evaluation)
    table = Table(
        title=f"{counted(evaluation['images'], 'image')}, {counted(len(evaluation['classes']), 'class', 'classes')}"
    )
    headings = (
        "class",
        "Dice",
        "Dice, all empty",
        "Dice where present",
        "IoU",
        "images with it",
        "found",
        "missed",
        "false alarms",
    )
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for index, name in enumerate(evaluation["classes"]):
        seen = evaluation["has_defect_per_class"][index]
        positives = evaluation["positive_images_per_class"][index]
        table.add_row(
            escape(name),
            as_number(evaluation["dice_per_class"][index]),
            as_number(1 - positives / evaluation["images"]),
            as_number(evaluation["dice_positive_per_class"][index]),
            as_number(evaluation["iou_per_class"][index]),
            *(str(count) for count in (positives, seen["tp"], seen["fn"], seen["fp"])),
        )
    table.add_section()
    table.add_row(
        "mean / any",
        *(as_number(evaluation[key]) for key in ("dice", "dice_all_empty", "dice_positive", "mean_iou")),
        *counts_of(evaluation["has_defect"]),
    )
    labels = evaluation.get("labels")
    return as_text(table) + ("\n" + render_labels(evaluation["classes"], labels) if labels else "")
