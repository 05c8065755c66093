"""Scores of image labels beside, or in place of, those of masks: what `sever evaluate` says of a classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from rich.markup import escape
from rich.table import Table

from sever.counted import counted
from sever.data.table import ImageTable
from sever.decide.label_metrics import LABEL_THRESHOLD, LabelSheet
from sever.output import OutputFolder
from sever.pipeline.inference.model import Model
from sever.pipeline.tables import as_text
from sever.progress import meter

# What `sever evaluate -o` leaves; a classifier's scores have no picture.
RESULTS = ("scores.json", "images.csv", "sheet.png")


def evaluate_labels(loaded: Model, table: ImageTable, output: Path | None, source: dict[str, str]) -> dict[str, Any]:
    """Score a model that draws no masks; with `output` also write scores.json and images.csv there."""
    if output is not None:
        OutputFolder(output).claim(RESULTS)
        output.mkdir(parents=True, exist_ok=True)  # told before the work, not after it, where that can't be
    sheet = LabelSheet(table.num_classes)
    shown = table.has_class()
    with meter("evaluate", len(table)) as progress:
        for row, found in loaded.inspect_table(table):
            assert found.label_probabilities is not None, "what neither draws nor labels is no model"
            sheet.add(found.name, found.label_probabilities, shown[row])
            progress.advance()
    evaluation = source | {"classes": list(table.class_names)} | sheet.as_dict()
    if output is not None:
        home = OutputFolder(output)
        home.write_json("scores.json", evaluation)
        with home.new("images.csv") as temporary:
            _images(sheet, table.class_names).to_csv(temporary, index=False)
    return evaluation


def _images(sheet: LabelSheet, class_names: tuple[str, ...]) -> pd.DataFrame:
    """One row an image: its probabilities, and what it shows."""
    probs = pd.DataFrame(sheet.probs_nc, columns=[f"prob_{name}" for name in class_names])
    truth = pd.DataFrame(sheet.truth_nc.astype(int), columns=[f"shows_{name}" for name in class_names])
    return pd.concat([pd.Series(sheet.image_ids, name="image_id"), probs, truth], axis=1)


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
