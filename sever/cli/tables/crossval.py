"""What a cross-validation found, as tables."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from sever.cli.tables.labels import render_labels
from sever.cli.tables.text import as_text
from sever.counted import counted
from sever.pipeline.crossval import CrossValidation


def render_crossval(result: CrossValidation) -> str:
    """The scores as tables, and where the evidence lies."""
    parts = [] if result.scores is None else [as_text(_dice_table(result.scores))]
    parts += [] if result.labels is None else [render_labels(list(result.class_names), result.labels, "Out of fold, ")]
    return "\n".join([*parts, str(result.folder)])


def _dice_table(scores: dict[str, Any]) -> Table:
    table = Table(title=f"Out of fold, {counted(scores['images'], 'image')}")
    for heading in ("", "Dice", "all empty"):
        table.add_column(heading, justify="left" if not heading else "right")
    rows = zip(scores["classes"], scores["dice_per_class"], scores["dice_all_empty_per_class"], strict=True)
    for name, dice, empty in rows:
        table.add_row(str(name), f"{dice:.4f}", f"{empty:.4f}")
    table.add_row("mean", f"{scores['dice']:.4f}", f"{scores['dice_all_empty']:.4f}", style="bold")
    folds = scores["dice_per_fold"].values()
    table.caption = f"folds from {min(folds):.4f} to {max(folds):.4f}"
    return table
