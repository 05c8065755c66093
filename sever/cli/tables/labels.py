"""Scores of image labels as a table."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

from sever.cli.tables.text import as_number, as_text
from sever.counted import counted
from sever.decide.label_metrics import LABEL_THRESHOLD


def render_labels(classes: list[str], scores: dict[str, Any], about: str = "") -> str:
    """The scores of image labels (LabelSheet.as_dict) as a table that a person reads; `about` heads its title."""
    table = Table(
        title=f"{about}labels of {counted(scores['images'], 'image')}, {counted(len(classes), 'class', 'classes')}"
    )
    headings = ("class", "AP", "AUC", "F1", "images with it", "found", "missed", "false alarms")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for index, name in enumerate(classes):
        numbers = (scores[f"label_{kind}_per_class"][index] for kind in ("ap", "auc", "f1"))
        table.add_row(escape(name), *map(as_number, numbers), *counts_of(scores["has_defect_per_class"][index]))
    table.add_section()
    means = (scores[f"label_{kind}"] for kind in ("ap", "auc", "f1"))
    table.add_row("mean / any", *map(as_number, means), *counts_of(scores["has_defect"]))
    return as_text(
        table,
        f"AP: average precision. Found: with a probability of {LABEL_THRESHOLD} or more.",
        f"Rightly said to show a defect or none: {as_number(scores['defect_accuracy'])} of the images.",
    )


def counts_of(seen: dict[str, int]) -> list[str]:
    """Images that show it, and of all images: found, missed, false alarms."""
    return [str(count) for count in (seen["tp"] + seen["fn"], seen["tp"], seen["fn"], seen["fp"])]
