"""Scores of image labels as a table."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

from sever.cli.tables.text import as_text
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
        table.add_row(escape(name), *map(_number, numbers), *_counts(scores["has_defect_per_class"][index]))
    table.add_section()
    means = (scores[f"label_{kind}"] for kind in ("ap", "auc", "f1"))
    table.add_row("mean / any", *map(_number, means), *_counts(scores["has_defect"]))
    return as_text(
        table,
        f"AP: average precision. Found: with a probability of {LABEL_THRESHOLD} or more.",
        f"Rightly said to show a defect or none: {_number(scores['defect_accuracy'])} of the images.",
    )


def _counts(seen: dict[str, int]) -> list[str]:
    return [str(count) for count in (seen["tp"] + seen["fn"], seen["tp"], seen["fn"], seen["fp"])]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
