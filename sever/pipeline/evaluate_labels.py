"""Scores of image labels beside, or in place of, those of masks: what `sever evaluate` says of a classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from sever.data.table import ImageTable
from sever.decide.label_metrics import LabelSheet
from sever.output import OutputFolder
from sever.pipeline.inference.model import Model
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
