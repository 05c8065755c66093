"""The scores of `sever evaluate` as a table."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

from sever.cli.tables.labels import render_labels
from sever.cli.tables.text import as_text
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
            _number(evaluation["dice_per_class"][index]),
            _number(1 - positives / evaluation["images"]),
            _number(evaluation["dice_positive_per_class"][index]),
            _number(evaluation["iou_per_class"][index]),
            *(str(count) for count in (positives, seen["tp"], seen["fn"], seen["fp"])),
        )
    seen = evaluation["has_defect"]
    table.add_section()
    table.add_row(
        "mean / any",
        *(_number(evaluation[key]) for key in ("dice", "dice_all_empty", "dice_positive", "mean_iou")),
        *(str(count) for count in (seen["tp"] + seen["fn"], seen["tp"], seen["fn"], seen["fp"])),
    )
    labels = evaluation.get("labels")
    return as_text(table) + ("\n" + render_labels(evaluation["classes"], labels) if labels else "")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
